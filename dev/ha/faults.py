"""What is done to the cluster while orders come in. Each fault strikes, and is healed once orders are taken again."""

import os
import signal
import time

from cluster import until


class Fault:
    # How long orders may be refused before the fault is healed all the same.
    bound = 60
    # Orders have to be taken again before it is healed.
    is_survived = True
    # Nodes have disks of 500 MB.
    has_small_disks = False

    def __init__(self, cluster, shop):
        self.cluster, self.shop = cluster, shop
        self.node = None

    def strike(self):
        raise NotImplementedError

    def heal(self):
        pass


class KillPostgres(Fault):
    """All processes of the primary's Postgres are killed; Patroni goes on."""

    def strike(self):
        self.node = self.cluster.primary()
        self.node.send(signal.SIGKILL, self.node.postgres())


class KillNode(Fault):
    """The primary's host loses its power, and comes back later."""

    def strike(self):
        self.node = self.cluster.primary()
        self.node.lose_power()

    def heal(self):
        self.node.boot()


class Cut(Fault):
    """The primary's host is cut off from everybody, and runs on."""

    def strike(self):
        self.node = self.cluster.primary()
        self.node.cut()

    def heal(self):
        self.node.mend()


class Freeze(Fault):
    """All processes of the primary's host stand still, and go on later."""

    def strike(self):
        self.node = self.cluster.primary()
        self.node.freeze()

    def heal(self):
        self.node.thaw()


class Disk(Fault):
    """The disk of the primary fills up, and has room again later."""

    has_small_disks = True
    is_survived = False
    bound = 40

    def strike(self):
        self.node = self.cluster.primary()
        self.filler = self.node.folder / "filler"
        with self.filler.open("wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(bytes(1 << 16))
            except OSError:
                pass

    def heal(self):
        self.filler.unlink()


class Switchover(Fault):
    """An operator makes the synchronous standby the primary."""

    def strike(self):
        self.cluster.switch_over()


class Rolling(Fault):
    """The same, while the copies of Ordo are restarted one after the other."""

    def strike(self):
        self.shop.copies[0].stop()
        self.cluster.switch_over()
        for copy in self.shop.copies:
            copy.stop()
            copy.start()
            until(copy.is_ready)


class KillCopy(Fault):
    """The primary's Postgres is killed, and a moment later a copy of Ordo."""

    def strike(self):
        node = self.cluster.primary()
        node.send(signal.SIGKILL, node.postgres())
        time.sleep(0.5)
        os.kill(self.shop.copies[0].process.pid, signal.SIGKILL)
        self.shop.copies[0].process.wait()

    def heal(self):
        self.shop.copies[0].start()
        until(self.shop.copies[0].is_ready)


class Standby(Fault):
    """The host of the synchronous standby loses its power, and comes back later."""

    def strike(self):
        self.node = self.cluster.standby()
        self.node.lose_power()

    def heal(self):
        self.node.boot()


class Standbys(Fault):
    """Both standbys lose their power: nothing is acknowledged until one is back."""

    is_survived = False
    bound = 15

    def strike(self):
        primary = self.cluster.primary()
        self.lost = [it for it in self.cluster.nodes if it is not primary]
        for node in self.lost:
            node.lose_power()

    def heal(self):
        for node in self.lost:
            node.boot()


FAULTS = {
    "kill-postgres": KillPostgres,
    "kill-node": KillNode,
    "cut": Cut,
    "freeze": Freeze,
    "disk": Disk,
    "switchover": Switchover,
    "rolling": Rolling,
    "kill-copy": KillCopy,
    "standby": Standby,
    "standbys": Standbys,
}
