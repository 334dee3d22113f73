"""What users would lose if stenod could lose anything: everything around a real daemon is broken, and counted."""
