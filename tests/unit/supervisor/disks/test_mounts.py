"""Which disks are looked at by the clock."""

import pytest

from supervisor.disks.mounts import Mount, is_network, mount_of

MAC = [
    Mount("/", "apfs"),
    Mount("/System/Volumes/Data", "apfs"),
    Mount("/Volumes/nas", "smbfs"),
    Mount("/Volumes/nas disk", "apfs"),
]
LINUX = [
    Mount("/", "ext4"),
    Mount("/mnt/nas", "autofs"),
    Mount("/mnt/nas", "nfs4"),
    Mount("/mnt/nas/inner", "ext4"),
    Mount("/home/me/cloud", "fuse.rclone"),
]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/Users/me/Transcribe", "apfs"),
        ("/Volumes/nas", "smbfs"),
        ("/Volumes/nas/x", "smbfs"),
        ("/Volumes/nas disk/x", "apfs"),
    ],
)
def test_the_longest_mount_around_a_folder_is_its_disk(path: str, kind: str) -> None:
    found = mount_of(path, MAC)
    assert found is not None
    assert found.kind == kind


def test_what_is_mounted_later_at_the_same_place_is_what_one_sees() -> None:
    kinds = [
        mount.kind
        for path in ("/mnt/nas/a", "/mnt/nas/inner/a", "/home/me/cloud")
        if (mount := mount_of(path, LINUX))
    ]
    assert kinds == ["nfs4", "ext4", "fuse.rclone"]
    assert mount_of("/anywhere", []) is None


# fmt: off
SHARED = [
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "SMBFS", "afpfs", "webdav", "fuse.sshfs", "fuse.rclone", "fuse.who-knows",
    "macfuse", "9p", "vboxsf", "virtiofs",
]
OURS = [
    "apfs", "hfs", "ext4", "btrfs", "xfs", "exfat", "msdos", "tmpfs", "overlay", "fuseblk", "fuse.ntfs-3g", "",
]
# fmt: on


@pytest.mark.parametrize(("kind", "shared"), [*((kind, True) for kind in SHARED), *((kind, False) for kind in OURS)])
def test_disks_that_others_write_to_are_polled_and_those_of_this_machine_are_not(kind: str, shared: bool) -> None:
    assert is_network(kind) is shared
