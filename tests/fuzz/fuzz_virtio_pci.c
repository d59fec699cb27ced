/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_virtio_pci.c - every virtio device there is, on PCI, under a guest that does anything: to
 * configuration space, registers, message tables, rings and doorbells.
 *
 * The first byte chooses features and queue size; then come operations, a byte each with what it
 * needs behind it.  The VM stays, the machine is reset for each input.  Registers are named by
 * device, region and offset, so that mutations stay where something is, also when BARs have moved.
 */
#include <sys/mman.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "device.h"
#include "error.h"
#include "fuzz.h"
#include "fuzz_devices.h"
#include "net/net.h"
#include "pci/pci.h"
#include "virtio/virtio.h"

#define	RAM		(1UL << 20)
#define	ECAM		0xb0000000ULL
#define	RINGS		0x10000ULL	/* of queue 0; each queue has 64 KiB: avail at 0x4000, used at 0x8000 */
#define	NQUEUES		4
#define	DEVICES_MAX	16
#define	OPS_MAX		400		/* of an input: each may be a ring of work */

/* Regions of registers: BAR 0 has common, notify, ISR and device, a page each. */
enum {
	OP_COMMON, OP_CONFIG, OP_MSIX, OP_PORT, OP_DEVICE, OP_ISR, OP_NOTIFY, OP_DESC, OP_AVAIL, OP_INDEX, OP_POKE,
	OP_MOVE, OP_START, OP_TURN, OP_BAR, OP_SELECT, OP_LAST
};

static struct vmm vmm;
static struct pci_host *host;
static struct device *devs[DEVICES_MAX];
static unsigned ndevs, now;		/* the device under work */
static uint8_t *ram;

static uint64_t
mem(uint64_t addr, unsigned size, bool write, uint64_t val)
{
	(void)vm_access(vmm.vm, VM_SPACE_MEM, addr, size, write, &val);
	return (val);
}

static uint64_t
cfg(unsigned off)
{
	return (ECAM + ((uint64_t)devs[now]->place.devfn << 12) + off);
}

/* Where a BAR is, says its register. */
static uint64_t
bar(unsigned n)
{
	return (mem(cfg(0x10 + 4 * n), 4, false, 0) & ~0xfULL);
}

/* A network that sends everything back, with offloads that the frame's own bytes choose, and that refuses now and then. */
static bool
echo_send(struct net *n, const struct net_frame *f)
{
	struct net_frame back = *f;
	const uint8_t *b = f->iov[0].iov_base;

	back.flags = b[0] & (NET_NEEDS_CSUM | NET_CSUM_GOOD);
	back.gso = b[1];
	back.csum_start = b[2];
	back.gso_size = b[3];
	(void)net_receive(n, &back);
	return ((b[4] & 7) != 7);
}

static void
echo_flush(struct net *n)
{
	net_receive_flush(n);
}

static void
echo_ready(struct net *n)
{
	n->nic->writable(n->arg);
}

static void
echo_nothing(struct net *n)
{
}

static const struct net_ops echo_ops = {
	.takes = NET_TAKES_CSUM | NET_TAKES_TSO4 | NET_TAKES_TSO6 | NET_TAKES_ECN, .send = echo_send, .flush = echo_flush,
	.ready = echo_ready, .start = echo_nothing, .stop = echo_nothing, .close = echo_nothing,
};

static int
echo_open(struct net *n)
{
	n->ops = &echo_ops;
	return (0);
}

NET_BACKEND(echo, "echo", NULL, "everything back", echo_open);

/* A NIC gets that network. */
static void
give_network(const struct device_class *cls)
{
	const struct config_origin origin = { .source = CONFIG_FROM_CODE, .what = "fuzz" };
	char key[64];

	(void)snprintf(key, sizeof(key), "%s.backend", cls->name);
	for (size_t i = 0; i < cls->keys.nkeys; i++) {
		if (strcmp(cls->keys.key[i].name, "backend") == 0 && config_set(vmm.config, key, "echo", &origin) != 0)
			abort();
	}
}

/* A device whose class has a path gets an image of 1 MiB there. */
static void
give_image(const struct device_class *cls)
{
	const struct config_origin origin = { .source = CONFIG_FROM_CODE, .what = "fuzz" };
	char key[64], path[64];
	int fd;

	for (size_t i = 0; i < cls->keys.nkeys; i++) {
		if (strcmp(cls->keys.key[i].name, "path") != 0)
			continue;
		fd = memfd_create("fuzz", MFD_CLOEXEC);
		(void)snprintf(key, sizeof(key), "%s.path", cls->name);
		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		if (fd < 0 || ftruncate(fd, 1 << 20) != 0 || config_set(vmm.config, key, path, &origin) != 0)
			abort();
	}
}

static void
make_vm(void)
{
	const struct pci_host_spec hs = {
		.ecam = ECAM, .ports = true, .mem32_base = 0xc0000000, .mem32_limit = 0xd0000000,
	};
	struct vm_spec spec = { .size = sizeof(spec), .arch = VM_ARCH_AMD64, .accel = VM_ACCEL_SOFT };
	const struct device_class *cls;

	vmm.vm = vm_new(&spec);
	vmm.loop = event_loop_new();
	vmm.config = config_new();
	if (vmm.vm == NULL || vmm.loop == NULL || vmm.config == NULL || vm_setup_memory(vmm.vm, RAM, VM_MMAP_ALL) != 0 ||
	    (ram = vm_map_gpa(vmm.vm, 0, RAM)) == NULL || (host = pci_host_new(&vmm, &hs)) == NULL)
		abort();
	for (unsigned i = 0; (cls = device_class_at(i)) != NULL && ndevs < DEVICES_MAX; i++) {
		struct device_place place = {
			.on = DEVICE_ON_PCI, .pci = host, .devfn = PCI_DEVFN(1 + ndevs, 0), .nirqs = 1,
		};

		if ((cls->on & DEVICE_ON_VIRTIO) == 0 || config_declare(vmm.config, cls->name, &cls->keys) != 0 ||
		    (place.irq[0] = vm_irq_open_line(vmm.vm, 16 + ndevs % 8)) == NULL)
			continue;
		give_image(cls);
		give_network(cls);
		/* Those that need what a fuzz target cannot give stay out. */
		devs[ndevs] = device_create(&vmm, cls, cls->name, config_node(vmm.config, cls->name), &place);
		if (devs[ndevs] != NULL)
			ndevs++;
		else
			vm_irq_close(place.irq[0]);
	}
	/* With a processor for messages to arrive at. */
	if (ndevs == 0 || vm_vcpu_open(vmm.vm, 0) == NULL || vm_start(vmm.vm) != 0)
		abort();
}

static void
common(unsigned off, unsigned size, uint64_t val)
{
	(void)mem(bar(0) + off, size, true, val);
}

/* virtio 1.2 section 3.1.1, with all the queues there is room for. */
static void
start(uint32_t features, unsigned num)
{
	(void)mem(cfg(4), 2, true, PCI_CMD_MEM | PCI_CMD_MASTER);
	common(0x14, 1, 0);
	common(0x14, 1, 3);
	common(0x08, 4, 0);
	common(0x00, 4, 0);
	common(0x0c, 4, features & mem(bar(0) + 4, 4, false, 0));
	common(0x08, 4, 1);
	common(0x0c, 4, 1);
	common(0x14, 1, 0xb);
	for (unsigned q = 0; q < NQUEUES; q++) {
		common(0x16, 2, q);
		common(0x18, 2, num);
		common(0x1a, 2, q);
		common(0x20, 8, RINGS + 0x10000 * q);
		common(0x28, 8, RINGS + 0x10000 * q + 0x4000);
		common(0x30, 8, RINGS + 0x10000 * q + 0x8000);
		common(0x1c, 2, 1);
	}
	common(0x14, 1, 0xf);
}

/* An access to a register, whose width and direction a byte says. */
static void
touch(uint64_t base, uint32_t off, const uint8_t **p, const uint8_t *end)
{
	uint8_t how = (uint8_t)fuzz_bytes(p, end, 1);
	unsigned size = 1U << (how & 3);

	(void)mem(base + off, size, (how & 4) == 0, (how & 4) == 0 ? fuzz_bytes(p, end, size) : 0);
}

static void
operate(const uint8_t **p, const uint8_t *end)
{
	uint8_t op = (uint8_t)fuzz_bytes(p, end, 1);
	unsigned q = op >> 4 & (NQUEUES - 1);
	uint8_t *rings = ram + RINGS + 0x10000 * q;
	uint64_t i, val;

	switch (op % OP_LAST) {
	case OP_COMMON:
		touch(bar(0), (uint32_t)fuzz_bytes(p, end, 1) & 0x3f, p, end);
		break;
	case OP_CONFIG:
		touch(cfg(0), (uint32_t)fuzz_bytes(p, end, 2) & 0xfff, p, end);
		break;
	case OP_MSIX:
		touch(bar(1), (uint32_t)fuzz_bytes(p, end, 2) & 0xfff, p, end);
		break;
	case OP_PORT:
		i = fuzz_bytes(p, end, 1);
		val = fuzz_bytes(p, end, 4);
		(void)vm_access(vmm.vm, VM_SPACE_IO, 0xcf8 + (i & 7), 1U << ((i >> 4) % 3), (i & 8) != 0, &val);
		break;
	case OP_DEVICE:
		touch(bar(0) + 0x3000, (uint32_t)fuzz_bytes(p, end, 2) & 0xfff, p, end);
		break;
	case OP_ISR:
		touch(bar(0) + 0x2000, q, p, end);
		break;
	case OP_NOTIFY:
		(void)mem(bar(0) + 0x1000 + 4 * q, 2, true, q);
		break;
	case OP_DESC:
		fuzz_ring_desc(rings, p, end);
		break;
	case OP_AVAIL:
		fuzz_ring_avail(rings, p, end);
		break;
	case OP_INDEX:
		fuzz_ring_index(rings, p, end);
		break;
	case OP_POKE:
		fuzz_poke(ram, RAM, p, end);
		break;
	case OP_MOVE:
		fuzz_move(&vmm);
		break;
	case OP_START:
		i = fuzz_bytes(p, end, 1);
		start((i & 1) != 0 ? UINT32_MAX : 0, 1U << (i >> 5));
		break;
	case OP_TURN:
		(void)event_loop_once(vmm.loop, 0);
		break;
	case OP_BAR:
		(void)mem(cfg(0x10 + 4 * (op >> 4 & 1)), 4, true, fuzz_bytes(p, end, 4));
		break;
	case OP_SELECT:
		now = (unsigned)fuzz_bytes(p, end, 1) % ndevs;
		break;
	}
}

static const uint8_t plain[] = {
	0x61,
	/* A buffer of 16 bytes to read at 0x60000 and one of 64 to write at 0x70000; notify; snapshot. */
	OP_DESC, 0, 0x00, 0x00, 0x06, 16, 0, 1, 1, OP_DESC, 1, 0x00, 0x00, 0x07, 64, 0, 2, 0,
	OP_AVAIL, 0, 0, OP_INDEX, 1, 0, OP_NOTIFY, OP_TURN, OP_ISR, 4, OP_MOVE, OP_INDEX, 2, 0, OP_NOTIFY, OP_TURN,
};

static const uint8_t messages[] = {
	0x40,
	/* Vector 0 and 1 unmasked, function enabled (its capability is the first, at 0x40). */
	OP_MSIX, 0x00, 0, 2, 0x00, 0x00, 0xe0, 0xfe, OP_MSIX, 0x0c, 0, 2, 0, 0, 0, 0,
	OP_MSIX, 0x10, 0, 2, 0x00, 0x00, 0xe0, 0xfe, OP_MSIX, 0x1c, 0, 2, 0, 0, 0, 0,
	OP_CONFIG, 0x42, 0, 1, 0x00, 0x80,
	OP_DESC, 0, 0x00, 0x00, 0x07, 64, 0, 2, 0, OP_AVAIL, 0, 0, OP_INDEX, 1, 0, OP_NOTIFY, OP_TURN,
	OP_AVAIL | 0x10, 0, 0, OP_INDEX | 0x10, 1, 0, OP_NOTIFY | 0x10,
	OP_MSIX, 0x00, 8, 7, OP_MOVE, OP_MSIX, 0x00, 8, 6,
};

static const uint8_t registers[] = {
	0x01,
	/* The window of configuration space on the device's status; a BAR that goes and comes back; ports. */
	OP_CONFIG, 0x88, 0, 2, 0x14, 0, 0, 0, OP_CONFIG, 0x8c, 0, 2, 1, 0, 0, 0, OP_CONFIG, 0x90, 0, 6,
	OP_CONFIG, 0x98, 0, 2, 0x14, 0, 0, 0, OP_CONFIG, 0x9c, 0, 2, 1, 0, 0, 0, OP_CONFIG, 0xa0, 0, 6,
	OP_BAR, 0, 0, 0, 0xc8, OP_NOTIFY, OP_BAR, 0, 0, 0, 0xc0, OP_BAR | 0x10, 0, 0, 0, 0xc0, OP_MOVE,
	OP_CONFIG, 4, 0, 1, 0, 0, OP_CONFIG, 4, 0, 1, 7, 4, OP_PORT, 8 | 0x20, 0x10, 0x08, 0, 0x80,
	OP_PORT, 4, 0, 0, 0, 0, OP_COMMON, 0x10, 7, OP_COMMON, 0x16, 1, 1, 0, OP_COMMON, 0x1a, 1, 0, 0,
	OP_DEVICE, 0, 0, 6, OP_START, 0x61, OP_SELECT, 1,
};

static const uint8_t disk[] = {
	0xc1,
	/* A request of a disk: header at 0x60000, a sector at 0x70000, its status; read, then write, then flush. */
	OP_DESC, 0, 0x00, 0x00, 0x06, 16, 0, 1, 1, OP_DESC, 1, 0x00, 0x00, 0x07, 0, 2, 3, 2,
	OP_DESC, 2, 0x00, 0x02, 0x07, 1, 0, 2, 0, OP_AVAIL, 0, 0, OP_INDEX, 1, 0, OP_NOTIFY, OP_TURN, OP_ISR, 4,
	OP_POKE, 0x00, 0x00, 0x06, 1, OP_DESC, 1, 0x00, 0x00, 0x07, 0, 2, 1, 2, OP_INDEX, 2, 0, OP_NOTIFY, OP_MOVE,
	OP_POKE, 0x00, 0x00, 0x06, 4, OP_DESC, 0, 0x00, 0x00, 0x06, 16, 0, 1, 2, OP_INDEX, 3, 0, OP_NOTIFY, OP_TURN,
	OP_DEVICE, 0x20, 0, 0, 0, OP_DEVICE, 0, 0, 7,
};

static const uint8_t network[] = {
	0xc1,
	/* Three buffers to receive, at 0x60000; a frame of 64 bytes behind its header to send, which comes back; a command. */
	OP_DESC, 0, 0x00, 0x00, 0x06, 64, 0, 2, 0, OP_DESC, 1, 0x00, 0x10, 0x06, 64, 0, 2, 0,
	OP_DESC, 2, 0x00, 0x20, 0x06, 64, 0, 2, 0, OP_AVAIL, 0, 0, OP_AVAIL, 1, 1, OP_AVAIL, 2, 2, OP_INDEX, 3, 0, OP_NOTIFY, OP_TURN,
	OP_DESC | 0x10, 0, 0x00, 0x00, 0x07, 76, 0, 0, 0, OP_AVAIL | 0x10, 0, 0, OP_INDEX | 0x10, 1, 0, OP_NOTIFY | 0x10, OP_TURN,
	OP_POKE, 0x0d, 0x00, 0x07, 1, OP_POKE, 0x0c, 0x00, 0x07, 1, OP_INDEX | 0x10, 2, 0, OP_NOTIFY | 0x10, OP_TURN, OP_MOVE,
	OP_POKE, 0x10, 0x00, 0x07, 7, OP_INDEX | 0x10, 3, 0, OP_NOTIFY | 0x10, OP_TURN, OP_INDEX, 4, 0, OP_NOTIFY, OP_TURN,
	OP_DESC | 0x20, 0, 0x00, 0x00, 0x08, 3, 0, 1, 1, OP_DESC | 0x20, 1, 0x00, 0x01, 0x08, 1, 0, 2, 0,
	OP_AVAIL | 0x20, 0, 0, OP_INDEX | 0x20, 1, 0, OP_NOTIFY | 0x20, OP_TURN, OP_POKE, 0x00, 0x00, 0x08, 1,
	OP_DESC | 0x20, 0, 0x00, 0x00, 0x08, 14, 0, 1, 1, OP_INDEX | 0x20, 2, 0, OP_NOTIFY | 0x20, OP_TURN, OP_MOVE,
};

size_t
fuzz_seed(unsigned n, uint8_t *buf, size_t max)
{
	static const struct {
		const uint8_t *bytes;
		size_t len;
	} seeds[] = {
		{ plain, sizeof(plain) }, { messages, sizeof(messages) }, { registers, sizeof(registers) },
		{ disk, sizeof(disk) }, { network, sizeof(network) },
	};

	/* Each for each of the first four devices. */
	if (n >= 4 * sizeof(seeds) / sizeof(seeds[0]) || seeds[n / 4].len + 3 > max)
		return (0);
	buf[0] = seeds[n / 4].bytes[0];
	buf[1] = OP_SELECT;
	buf[2] = (uint8_t)(n % 4);
	buf[3] = OP_START;
	buf[4] = buf[0];
	memcpy(buf + 5, seeds[n / 4].bytes + 1, seeds[n / 4].len - 1);
	return (seeds[n / 4].len + 4);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *p = data, *end = data + size;
	uint8_t how;

	if (vmm.vm == NULL)
		make_vm();
	devices_pause(&vmm);
	devices_reset(&vmm);
	memset(ram, 0, RAM);
	devices_resume(&vmm);
	if (pci_host_assign(host) != 0)
		abort();
	how = (uint8_t)fuzz_bytes(&p, end, 1);
	now = 0;
	start((how & 1) != 0 ? UINT32_MAX : 0, 1U << (how >> 5));
	for (unsigned n = 0; p < end && n < OPS_MAX; n++)
		operate(&p, end);
	(void)event_loop_once(vmm.loop, 0);
	/* Whatever it did, the function is what it was, and a reset mends it. */
	for (now = 0; now < ndevs; now++) {
		if (mem(cfg(0), 2, false, 0) != 0x1af4)
			abort();
	}
	return (0);
}
