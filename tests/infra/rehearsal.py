"""compose.yaml without an engine: `python -m tests.infra.rehearsal`, as root on Linux. Minutes.

Each service runs its own command, environment, secrets and health check in a network namespace,
under its own name; ours with a read-only root file system, uid 10001, no capabilities and no new
privileges. Then the demo: fill the store, tag through Ray, ask SQL, deploy; and a run of what was
deployed, by the Prefect worker.

What stands in, and so is not shown: this checkout's .venv for the image, Debian's PostgreSQL 15
for 17, moto, which believes any key, for SeaweedFS. Nothing of it reaches the network outside.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.infra.described import DOCKERFILE, INFRA, env_files, services
from tests.places import ROOT

UID = 10001
PATIENCE_S = 300.0  # for a server to be well, or a command to end
NETWORK = "clsp-network"
POSTGRES = Path("/usr/lib/postgresql/15/bin")
# What a container has: system and Python read-only, volumes, nothing else to write to.
ENTER = r"""
set -eu
umask 022
root=$1; volumes=$2; shift 2
mount -t tmpfs tmpfs "$root"
mkdir -p "$root"/{usr,etc,proc,dev,sys}
for folder in /usr /etc "$PYTHON_HOME" "$CHECKOUT"; do
  mkdir -p "$root$folder"; mount --bind "$folder" "$root$folder"
  mount -o remount,ro,bind "$root$folder"
done
for link in bin sbin lib lib64; do cp --archive "/$link" "$root/$link"; done
for file in passwd hosts resolv.conf; do mount --bind "$SCRATCH/$file" "$root/etc/$file"; done
mount --rbind /dev "$root/dev"; mount --rbind /sys "$root/sys"; mount -t proc proc "$root/proc"
for pair in $volumes; do
  from=${pair%%:*}; to=${pair#*:}
  mkdir -p "$(dirname "$root$to")"
  if [ -d "$from" ]; then mkdir -p "$root$to"; else touch "$root$to"; fi
  mount --bind "$from" "$root$to"
done
mount -o remount,ro "$root"
exec chroot "$root" setpriv --reuid "$USER_ID" --regid "$USER_ID" --clear-groups \
  --bounding-set=-all --inh-caps=-all --no-new-privs \
  env --ignore-environment --chdir=/home/clsp "$@"
"""


class Rehearsal:
    """The services of compose.yaml, each in a namespace named after it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.services = services()
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.addresses = {name: f"10.77.0.{10 + n}" for n, name in enumerate(self.services)}

    def prepare(self) -> None:
        hosts = "".join(f"{ip} {name}\n" for name, ip in self.addresses.items())
        (self.folder / "hosts").write_text(f"127.0.0.1 localhost\n{hosts}")
        # Nobody answers there, and says so at once: names are in the file above.
        (self.folder / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:1\n")
        user = f"clsp:x:{UID}:{UID}::/home/clsp:/usr/sbin/nologin\n"
        (self.folder / "passwd").write_text(Path("/etc/passwd").read_text() + user)
        shutil.copy(INFRA / "make-secrets.sh", self.folder)
        subprocess.run(["bash", self.folder / "make-secrets.sh"], check=True)
        self.ip(f"netns add {NETWORK}")
        for line in ("link add bridge type bridge", "addr add 10.77.0.1/24 dev bridge",
                     "link set bridge up", "link set lo up"):  # fmt: skip
            self.ip(f"-n {NETWORK} {line}")
        for number, (name, address) in enumerate(self.addresses.items()):
            self.ip(f"netns add clsp-{name}")
            self.ip(f"-n {NETWORK} link add to{number} type veth peer name eth0 netns clsp-{name}")
            self.ip(f"-n {NETWORK} link set to{number} master bridge up")
            for line in (f"addr add {address}/24 dev eth0", "link set eth0 up", "link set lo up",
                         "route add default via 10.77.0.1"):  # fmt: skip
                self.ip(f"-n clsp-{name} {line}")

    @staticmethod
    def ip(line: str) -> None:
        subprocess.run(["ip", *line.split()], check=True)

    def environment(self, name: str) -> dict[str, str]:
        """The image's, the service's, and its secrets."""
        text = re.sub(r"\\\n\s*", " ", DOCKERFILE.read_text().split(" AS runtime\n")[1])
        [image] = re.findall(r"^ENV (PATH=.*)$", text, flags=re.MULTILINE)
        given = dict(word.split("=", 1) for word in shlex.split(image))
        given["PATH"] = f"{ROOT / '.venv' / 'bin'}:{POSTGRES}:/usr/bin:/bin"
        given |= {"HOME": "/home/clsp", "LANG": "C.UTF-8", "HF_HUB_OFFLINE": "1"}
        if name == "postgres":
            given["PGHOST"] = "127.0.0.1"  # its image asks a socket that only root may make
        service = self.services[name]
        given |= {key: str(value) for key, value in service.get("environment", {}).items()}
        for file in env_files(service):
            lines = (self.folder / file).read_text().splitlines()
            given |= dict(line.split("=", 1) for line in lines)
        return given

    def volumes(self, name: str) -> str:
        pairs = []
        wanted = self.services[name]["volumes"]
        for extra in ("/tmp", "/home/clsp"):  # those of others than ours may write there anyway
            wanted = wanted if any(v.endswith(extra) for v in wanted) else [*wanted, extra]
        for volume in wanted:
            source, _, target = volume.removesuffix(":ro").rpartition(":")
            path = (INFRA / source) if source.startswith(".") else self.folder / "volumes" / (
                source or f"of-{name}{target.replace('/', '-')}")  # fmt: skip
            if not path.exists():
                path.mkdir(parents=True)
                os.chown(path, UID, UID)
            pairs.append(f"{path.resolve()}:{target}")
        return " ".join(pairs)

    def start(self, name: str, words: list[str], **where: Any) -> subprocess.Popen[bytes]:
        """A command in the service's place."""
        root = Path(tempfile.mkdtemp(dir=self.folder, prefix=f"root-{name}-"))
        environment = [f"{key}={value}" for key, value in self.environment(name).items()]
        outside = {
            "PATH": os.environ["PATH"], "SCRATCH": str(self.folder), "CHECKOUT": str(ROOT),
            "PYTHON_HOME": sys.base_prefix, "USER_ID": str(UID),
        }  # fmt: skip
        return subprocess.Popen(
            ["ip", "netns", "exec", f"clsp-{name}", "unshare", "--mount", "--propagation",
             "private", "bash", "-c", ENTER, "-", root, self.volumes(name), *environment, *words],
            env=outside, start_new_session=True, **where,
        )  # fmt: skip

    def run(self, name: str, words: list[str], shown: bool = True) -> str:
        """A command that must end well; its output."""
        if shown:
            print(f"\n$ {name}: {shlex.join(words)}", flush=True)
        done = self.start(name, words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said = done.communicate(timeout=PATIENCE_S)[0].decode()
        if shown:
            print(said, flush=True)
        if done.returncode:
            raise SystemExit(f"{name} ended with {done.returncode}:\n{said}")
        return said

    def serve(self, name: str) -> None:
        """Start a server and what it waits for; come back when its own check says it is well."""
        if name in self.running:
            return
        service = self.services[name]
        for other in service.get("depends_on", {}):
            self.serve(other)
        words, check = service.get("command", []), service["healthcheck"]["test"][1:]
        if name == "postgres":
            words = ["bash", "-c", STAND_IN_POSTGRES]
        if name == "store":
            words = ["moto_server", "--host=0.0.0.0", "--port=8333"]
            ask = "from urllib.request import urlopen; urlopen('http://127.0.0.1:8333/moto-api/')"
            check = ["python", "-c", ask]
        log = (self.folder / f"{name}.log").open("wb")
        began = time.monotonic()
        self.running[name] = self.start(name, words, stdout=log, stderr=subprocess.STDOUT)
        while self.start(name, check, stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL).wait():  # fmt: skip
            if self.running[name].poll() is not None or time.monotonic() - began > PATIENCE_S:
                raise SystemExit(f"{name}:\n{Path(log.name).read_text()[-3000:]}")
            time.sleep(1)
        print(f"{name} is well after {time.monotonic() - began:.0f} s", flush=True)

    def stop(self) -> None:
        for name in reversed(self.running):
            self.running[name].send_signal(signal.SIGTERM)
            try:
                self.running[name].wait(60)
            except subprocess.TimeoutExpired:
                print(f"{name} did not stop within 60 s", flush=True)
                os.killpg(self.running[name].pid, signal.SIGKILL)
        for name in (*(f"clsp-{each}" for each in self.services), NETWORK):
            subprocess.run(["ip", "netns", "delete", name], stderr=subprocess.DEVNULL)


STAND_IN_POSTGRES = """
set -eu
data=/var/lib/postgresql/data/here
initdb --pgdata=$data --username=$POSTGRES_USER --auth=scram-sha-256 \
  --pwfile=<(printf %s "$POSTGRES_PASSWORD")
echo "host all all 10.77.0.0/24 scram-sha-256" >> $data/pg_hba.conf
export PGPASSWORD=$POSTGRES_PASSWORD
(until createdb --host=127.0.0.1 --username=$POSTGRES_USER $POSTGRES_DB; do sleep 1; done) &
exec postgres -D $data -h '*' -k /tmp
"""


def main() -> None:
    if os.geteuid() or not shutil.which("ip") or not (POSTGRES / "initdb").exists():
        raise SystemExit(f"needs root, iproute2 and {POSTGRES} (apt: postgresql-15, iproute2)")
    with tempfile.TemporaryDirectory(prefix="clsp-rehearsal-") as scratch:
        Path(scratch).chmod(0o755)
        rehearsal = Rehearsal(Path(scratch))
        try:
            rehearsal.prepare()
            for name, service in rehearsal.services.items():
                if "profiles" not in service:
                    rehearsal.serve(name)
            demo = (INFRA / "compose-demo.sh").read_text().replace("\\\n", " ")
            for name, rest in re.findall(
                r"^docker compose run --rm (\S+)(.*)$", demo, re.MULTILINE
            ):
                service = rehearsal.services[name]
                words = [*service.get("entrypoint", []), *(shlex.split(rest) or service["command"])]
                rehearsal.run(name, words)
            # The worker takes a run: nothing is new, so it ends well and soon.
            deploy = ["clsp", "deploy", "--source", "s3://archive", "--json"]
            for each in ("executor=ray", "ray_address=ray://ray-head:10001"):
                deploy += ["--set", f"tag_archive.{each}"]
            planned = json.loads(rehearsal.run("clsp", deploy, shown=False))
            name = f"tag_archive/{planned['deployments'][0]['name']}"
            rehearsal.run("clsp", ["prefect", "deployment", "run", name, "--watch"])
            rehearsal.run("clsp", ["clsp", "verify"])
        finally:
            rehearsal.stop()


if __name__ == "__main__":
    main()
