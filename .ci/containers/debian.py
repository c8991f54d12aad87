"""Debian's packages as files: downloaded and unpacked, never installed. None of their scripts runs."""

import re
import subprocess
from pathlib import Path

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# Nothing in a container reads them.
LEFT_OUT = ["./usr/share/doc", "./usr/share/man", "./usr/share/locale", "./usr/share/info"]


def mirror():
    """Where this machine gets its packages, if it is a Debian."""
    for file in Path("/etc/apt").glob("sources.list.d/debian.sources"):
        if found := re.search(r"^URIs: *(\S+)", file.read_text(), re.M):
            return found[1]
    return "http://deb.debian.org/debian"


def apt(state, archives, *arguments):
    """apt-get with lists and archives of its own: what this machine has stays as it is."""
    for folder in (state / "lists/partial", archives / "partial"):
        folder.mkdir(parents=True, exist_ok=True)
    options = {"Dir::State::lists": state / "lists", "Dir::Cache::archives": archives, "Dir::Cache::pkgcache": "",
               "Dir::Cache::srcpkgcache": "", "Debug::NoLocking": "1", "APT::Sandbox::User": "root", "Acquire::Retries": "3"}
    if (state / "sources.list").exists():
        options |= {"Dir::Etc::sourcelist": state / "sources.list", "Dir::Etc::sourceparts": "/dev/null",
                    "Dir::State::status": state / "status"}
    command = ["apt-get", "-qq", *(word for it in options.items() for word in ("-o", f"{it[0]}={it[1]}")), *arguments]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd=archives)


def of_suite(suite, archives):
    """The state of a machine that has no package yet, and knows those of the suite."""
    state = archives.parent / f"apt-{suite}"
    state.mkdir(parents=True, exist_ok=True)
    (state / "status").touch()
    if not (state / "sources.list").exists():
        (state / "sources.list").write_text(f"deb [signed-by={KEYRING}] {mirror()} {suite} main\n")
        apt(state, archives, "update")
    return state


def download_missing(packages, archives):
    """The packages, with what of their dependencies this machine has not."""
    state = archives.parent / "apt-here"
    apt(state, archives, "update")
    apt(state, archives, "install", "--download-only", "--yes", "--no-install-recommends", *packages)


def download_all(packages, suite, archives):
    """The packages, with all that they need."""
    apt(of_suite(suite, archives), archives, "install", "--download-only", "--yes", "--no-install-recommends", *packages)


def download_one(package, suite, archives):
    """The package alone."""
    apt(of_suite(suite, archives), archives, "download", package)


def unpack(archives, root, without="$^"):
    """The files of all packages in a folder, but of those whose names match `without`."""
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / name).mkdir(parents=True, exist_ok=True)
        if not (root / name).is_symlink():
            (root / name).symlink_to(f"usr/{name}")
    excluded = [f"--exclude={it}" for it in LEFT_OUT]
    for deb in sorted(archives.glob("*.deb")):
        if re.match(without, deb.name):
            continue
        files = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE)
        subprocess.run(["tar", "-x", "--keep-directory-symlink", *excluded, "-C", root], stdin=files.stdout, check=True)
        if files.wait() != 0:
            raise SystemExit(f"{deb.name} can't be unpacked")
