"""`make systemd-test`: the service under a real systemd, in a Debian 12 of its own.

Runs in: the systemd test, as root.

`debootstrap` fills a folder with Debian once (`.systemd/`, ignored by git), `systemd-nspawn --boot` starts it on a
layer of memory, so that every run begins with a fresh machine, and an ordinary user walks through `steno service` in
it. The code and the packages of `.venv` are mounted read-only and run by Debian's own Python 3.11. Not part of
`make test`: it needs root, and a download of Debian's packages the first time.
"""
