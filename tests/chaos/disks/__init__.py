"""Rows in which space, disks, the database or what the kernel lends runs out or breaks, and power cuts."""
