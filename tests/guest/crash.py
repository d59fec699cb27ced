# SPDX-License-Identifier: BSD-2-Clause
"""What crashes may leave of a disk whose writes and flushes were recorded (virtio-blk's key record, vmm/block/record.c).

The disk has a volatile cache.  After any number of records it may lose power: every write that a flush covers is there; of each
other one that had begun, every atom may be there or not, and where several wrote an atom, any of them may be the last.
"""
import struct

RECORD = struct.Struct("<IIIIQQQ")
MAGIC = 0x6b6c6276
WRITE, FLUSH, DISCARD, ZERO = 1, 2, 3, 4        # enum block_op


class Event:
    def __init__(self, op, began, off, length, data):
        self.op = op
        self.began = began          # records that were there
        self.off = off
        self.length = length
        self.data = data            # of a write; None: zeros


class Damaged(Exception):
    """The log is none."""


def read_log(path):
    """The events of a log, in order."""
    events = []
    with open(path, "rb") as log:
        while True:
            head = log.read(RECORD.size)
            if not head:
                return events
            if len(head) != RECORD.size:
                raise Damaged("the record ends in its %d. header" % (len(events) + 1))
            magic, op, error, _, began, off, length = RECORD.unpack(head)
            if magic != MAGIC or op not in (WRITE, FLUSH, DISCARD, ZERO) or began > len(events):
                raise Damaged("record %d is none" % len(events))
            if error:
                raise Damaged("request %d failed with error %d" % (len(events), error))
            data = log.read(length) if op == WRITE else None
            if op == WRITE and len(data) != length:
                raise Damaged("the record ends in its %d. data" % (len(events) + 1))
            events.append(Event(op, began, off, length, data))


class Disk:
    """A disk with a history: at(n) moves to the moment after n records, crash() is an image of what may be left then.
    Time goes forward only."""

    def __init__(self, image, events, atom):
        with open(image, "rb") as file:
            self.safe = bytearray(file.read())      # what no crash takes away
        self.events = events
        self.atom = atom            # bytes that are written whole or not at all
        self.moment = 0
        self.pending = []           # indices of writes that have a record and no flush
        # for each moment, events that began before it are found among the next few: requests in flight are few
        self.longest = max([index - event.began for index, event in enumerate(events)] + [0])

    def at(self, moment):
        while self.moment < moment:
            event = self.events[self.moment]
            if event.op == FLUSH:
                for index in [index for index in self.pending if index < event.began]:
                    self.apply(self.safe, self.events[index])
                self.pending = [index for index in self.pending if index >= event.began]
            else:
                self.pending.append(self.moment)
            self.moment += 1

    @staticmethod
    def apply(image, event):
        # what is discarded may be anything: zeros, as an image file has them
        Disk.put(image, event.off, event.data if event.data is not None else bytes(event.length))

    @staticmethod
    def put(image, off, data):
        if off > len(image):
            image.extend(bytes(off - len(image)))       # a file that grows
        image[off:off + len(data)] = data

    def uncertain(self):
        """Events that a crash may take or leave, in parts."""
        flying = range(self.moment, min(len(self.events), self.moment + self.longest + 1))
        return [self.events[index] for index in self.pending] + \
            [self.events[index] for index in flying if self.events[index].began <= self.moment and
             self.events[index].op != FLUSH]

    def crash(self, random):
        """An image: `random` decides with which probability atoms stay, and which."""
        image = bytearray(self.safe)
        events = self.uncertain()
        random.shuffle(events)
        stays = random.choice((0.0, 0.1, 0.5, 0.9, 1.0))
        for event in events:
            off = 0
            while off < event.length:
                # atoms begin at multiples of their size
                length = min(self.atom - (event.off + off) % self.atom, event.length - off)
                if random.random() < stays:
                    self.put(image, event.off + off, event.data[off:off + length] if event.data is not None else bytes(length))
                off += length
        return image
