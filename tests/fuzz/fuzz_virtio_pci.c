/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_virtio_pci.c - every virtio device there is, on PCI, under a guest that does anything: to
 * configuration space, registers, message tables, rings and doorbells.
 *
 * The first byte chooses features and queue size; then come operations, a byte each with what it
 * needs behind it.  The VM stays, the machine is reset for each input.  Registers are named by
 * device, region and offset, so that mutations stay where something is, also when BARs have moved.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "device.h"
#include "error.h"
#include "fuzz.h"
#include "fuzz_pci.h"
#include "net/net.h"
#include "virtio/virtio.h"

#define	NQUEUES		4
#define	DEVICES_MAX	16
#define	OPS_MAX		400		/* of an input: each may be a ring of work */

/* Regions of registers: BAR 0 has common, notify, ISR and device, a page each. */
enum {
	OP_COMMON, OP_CONFIG, OP_MSIX, OP_PORT, OP_DEVICE, OP_ISR, OP_NOTIFY, OP_DESC, OP_AVAIL, OP_INDEX, OP_POKE,
	OP_MOVE, OP_START, OP_TURN, OP_BAR, OP_SELECT, OP_LAST
};

static struct fuzz_pci guest;
static struct device *devs[DEVICES_MAX];
static unsigned ndevs;

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
	net_writable(n);
}

static void
echo_nothing(struct net *n)
{
}

static const struct net_ops echo_ops = {
	.takes = NET_TAKES_ALL, .send = echo_send, .flush = echo_flush,
	.ready = echo_ready, .start = echo_nothing, .stop = echo_nothing, .close = echo_nothing,
};

static int
echo_open(struct net *n)
{
	n->ops = &echo_ops;
	return (0);
}

NET_BACKEND(echo, "echo", NULL, "everything back", echo_open);

static char folder[] = "/tmp/hyve-fuzz-virtio-XXXXXX";

static void
finish(void)
{
	(void)rmdir(folder);
}

/* A key of a device whose class has it. */
static void
give(const struct device_class *cls, const char *name, const char *value)
{
	const struct config_origin origin = { .source = CONFIG_FROM_CODE, .what = "fuzz" };
	char key[64];

	for (size_t i = 0; i < cls->keys.nkeys; i++) {
		if (strcmp(cls->keys.key[i].name, name) != 0)
			continue;
		(void)snprintf(key, sizeof(key), "%s.%s", cls->name, name);
		if (config_set(guest.vmm.config, key, value, &origin) != 0)
			abort();
	}
}

static void
make_vm(void)
{
	const struct device_class *cls;
	char path[32];

	if (mkdtemp(folder) == NULL || atexit(finish) != 0)
		abort();
	fuzz_pci_open(&guest);
	for (unsigned i = 0; (cls = device_class_at(i)) != NULL && ndevs < DEVICES_MAX; i++) {
		struct device_place place = {
			.on = DEVICE_ON_PCI, .pci = guest.host, .devfn = PCI_DEVFN(1 + ndevs, 0), .nirqs = 1,
		};

		if ((cls->on & DEVICE_ON_VIRTIO) == 0 || config_declare(guest.vmm.config, cls->name, &cls->keys) != 0 ||
		    (place.irq[0] = vm_irq_open_line(guest.vmm.vm, 16 + ndevs % 8)) == NULL)
			continue;
		/* An image, or an empty folder that stays so. */
		if (strcmp(cls->name, "virtio-9p") == 0) {
			give(cls, "path", folder);
			give(cls, "ro", "true");
		} else {
			(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fuzz_image());
			give(cls, "path", path);
		}
		give(cls, "backend", "echo");
		/* Those that need what a fuzz target cannot give stay out. */
		devs[ndevs] = device_create(&guest.vmm, cls, cls->name, config_node(guest.vmm.config, cls->name), &place);
		if (devs[ndevs] != NULL)
			ndevs++;
		else
			vm_irq_close(place.irq[0]);
	}
	if (ndevs == 0)
		abort();
	fuzz_pci_start(&guest);
}

static void
common(unsigned off, unsigned size, uint64_t val)
{
	(void)fuzz_mem(&guest, fuzz_bar(&guest, 0) + off, size, true, val);
}

/* virtio 1.2 section 3.1.1, with all the queues there is room for. */
static void
start(uint32_t features, unsigned num)
{
	(void)fuzz_mem(&guest, fuzz_cfg(&guest, 4), 2, true, PCI_CMD_MEM | PCI_CMD_MASTER);
	common(0x14, 1, 0);
	common(0x14, 1, 3);
	common(0x08, 4, 0);
	common(0x00, 4, 0);
	common(0x0c, 4, features & fuzz_mem(&guest, fuzz_bar(&guest, 0) + 4, 4, false, 0));
	common(0x08, 4, 1);
	common(0x0c, 4, 1);
	common(0x14, 1, 0xb);
	for (unsigned q = 0; q < NQUEUES; q++) {
		common(0x16, 2, q);
		common(0x18, 2, num);
		common(0x1a, 2, q);
		common(0x20, 8, FUZZ_RINGS(q));
		common(0x28, 8, FUZZ_RINGS(q) + 0x4000);
		common(0x30, 8, FUZZ_RINGS(q) + 0x8000);
		common(0x1c, 2, 1);
	}
	common(0x14, 1, 0xf);
}

static void
operate(const uint8_t **p, const uint8_t *end)
{
	uint8_t op = (uint8_t)fuzz_bytes(p, end, 1);
	unsigned q = op >> 4 & (NQUEUES - 1);
	uint8_t *rings = guest.ram + FUZZ_RINGS(q);
	uint64_t i, val;

	switch (op % OP_LAST) {
	case OP_COMMON:
		fuzz_touch(&guest, fuzz_bar(&guest, 0), (uint32_t)fuzz_bytes(p, end, 1) & 0x3f, p, end);
		break;
	case OP_CONFIG:
		fuzz_touch(&guest, fuzz_cfg(&guest, 0), (uint32_t)fuzz_bytes(p, end, 2) & 0xfff, p, end);
		break;
	case OP_MSIX:
		fuzz_touch(&guest, fuzz_bar(&guest, 1), (uint32_t)fuzz_bytes(p, end, 2) & 0xfff, p, end);
		break;
	case OP_PORT:
		i = fuzz_bytes(p, end, 1);
		val = fuzz_bytes(p, end, 4);
		(void)vm_access(guest.vmm.vm, VM_SPACE_IO, 0xcf8 + (i & 7), 1U << ((i >> 4) % 3), (i & 8) != 0, &val);
		break;
	case OP_DEVICE:
		fuzz_touch(&guest, fuzz_bar(&guest, 0) + 0x3000, (uint32_t)fuzz_bytes(p, end, 2) & 0xfff, p, end);
		break;
	case OP_ISR:
		fuzz_touch(&guest, fuzz_bar(&guest, 0) + 0x2000, q, p, end);
		break;
	case OP_NOTIFY:
		(void)fuzz_mem(&guest, fuzz_bar(&guest, 0) + 0x1000 + 4 * q, 2, true, q);
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
		fuzz_poke(guest.ram, FUZZ_RAM, p, end);
		break;
	case OP_MOVE:
		fuzz_move(&guest.vmm);
		break;
	case OP_START:
		i = fuzz_bytes(p, end, 1);
		start((i & 1) != 0 ? UINT32_MAX : 0, 1U << (i >> 5));
		break;
	case OP_TURN:
		(void)event_loop_once(guest.vmm.loop, 0);
		break;
	case OP_BAR:
		(void)fuzz_mem(&guest, fuzz_cfg(&guest, 0x10 + 4 * (op >> 4 & 1)), 4, true, fuzz_bytes(p, end, 4));
		break;
	case OP_SELECT:
		guest.devfn = devs[fuzz_bytes(p, end, 1) % ndevs]->place.devfn;
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
	/* Vector 0 and 1 unmasked, function enabled (its capability is at 0x84). */
	OP_MSIX, 0x00, 0, 2, 0x00, 0x00, 0xe0, 0xfe, OP_MSIX, 0x0c, 0, 2, 0, 0, 0, 0,
	OP_MSIX, 0x10, 0, 2, 0x00, 0x00, 0xe0, 0xfe, OP_MSIX, 0x1c, 0, 2, 0, 0, 0, 0,
	OP_CONFIG, 0x86, 0, 1, 0x00, 0x80,
	OP_DESC, 0, 0x00, 0x00, 0x07, 64, 0, 2, 0, OP_AVAIL, 0, 0, OP_INDEX, 1, 0, OP_NOTIFY, OP_TURN,
	OP_AVAIL | 0x10, 0, 0, OP_INDEX | 0x10, 1, 0, OP_NOTIFY | 0x10,
	OP_MSIX, 0x00, 8, 7, OP_MOVE, OP_MSIX, 0x00, 8, 6,
};

static const uint8_t registers[] = {
	0x01,
	/* The window of configuration space on the device's status; a BAR that goes and comes back; ports. */
	OP_CONFIG, 0xcc, 0, 2, 0x14, 0, 0, 0, OP_CONFIG, 0xd0, 0, 2, 1, 0, 0, 0, OP_CONFIG, 0xd4, 0, 6,
	OP_CONFIG, 0xdc, 0, 2, 0x14, 0, 0, 0, OP_CONFIG, 0xe0, 0, 2, 1, 0, 0, 0, OP_CONFIG, 0xe4, 0, 6,
	OP_BAR, 0, 0, 0, 0xc8, OP_NOTIFY, OP_BAR, 0, 0, 0, 0xc0, OP_BAR | 0x10, 0, 0, 0, 0xc0, OP_MOVE,
	OP_CONFIG, 4, 0, 1, 0, 0, OP_CONFIG, 4, 0, 1, 7, 4, OP_PORT, 8 | 0x20, 0x10, 0x08, 0, 0x80,
	OP_PORT, 4, 0, 0, 0, 0, OP_COMMON, 0x10, 7, OP_COMMON, 0x16, 1, 1, 0, OP_COMMON, 0x1a, 1, 0, 0,
	OP_DEVICE, 0, 0, 6, OP_START, 0x61, OP_CONFIG, 0x44, 0, 0, 3, OP_NOTIFY, OP_MOVE, OP_CONFIG, 0x44, 0, 0, 0, OP_CONFIG, 0x51, 0, 0, 0x80,
	OP_MOVE, OP_TURN, OP_SELECT, 1,
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

#define	POKE(at, byte)	OP_POKE, (at), 0x00, 0x06, (byte)

static const uint8_t share[] = {
	0xc1,
	/* 9P2000.L is agreed on, then a request that is longer than its message. */
	POKE(0, 21), POKE(4, 100), POKE(5, 0xff), POKE(6, 0xff), POKE(8, 0x20), POKE(11, 8), POKE(13, '9'), POKE(14, 'P'), POKE(15, '2'),
	POKE(16, '0'), POKE(17, '0'), POKE(18, '0'), POKE(19, '.'), POKE(20, 'L'),
	OP_DESC, 0, 0x00, 0x00, 0x06, 21, 0, 1, 1, OP_DESC, 1, 0x00, 0x00, 0x07, 64, 0, 2, 0,
	OP_AVAIL, 0, 0, OP_INDEX, 1, 0, OP_NOTIFY, OP_TURN, OP_ISR, 4, OP_MOVE,
	POKE(4, 104), POKE(0, 90), OP_INDEX, 2, 0, OP_NOTIFY, OP_TURN, OP_MOVE, OP_INDEX, 3, 0, OP_NOTIFY, OP_DEVICE, 0, 0, 1,
};

size_t
fuzz_seed(unsigned n, uint8_t *buf, size_t max)
{
	static const struct fuzz_input seeds[] = {
		{ plain, sizeof(plain) }, { messages, sizeof(messages) }, { registers, sizeof(registers) },
		{ disk, sizeof(disk) }, { network, sizeof(network) }, { share, sizeof(share) },
	};
	const unsigned each = 5;	/* each for each of the first devices */

	if (n >= each * sizeof(seeds) / sizeof(seeds[0]) || seeds[n / each].len + 4 > max)
		return (0);
	buf[0] = seeds[n / each].bytes[0];
	buf[1] = OP_SELECT;
	buf[2] = (uint8_t)(n % each);
	buf[3] = OP_START;
	buf[4] = buf[0];
	memcpy(buf + 5, seeds[n / each].bytes + 1, seeds[n / each].len - 1);
	return (seeds[n / each].len + 4);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *p = data, *end = data + size;
	uint8_t how;

	if (guest.vmm.vm == NULL)
		make_vm();
	fuzz_restart(&guest.vmm, guest.ram);
	fuzz_pci_assign(&guest);
	how = (uint8_t)fuzz_bytes(&p, end, 1);
	guest.devfn = devs[0]->place.devfn;
	start((how & 1) != 0 ? UINT32_MAX : 0, 1U << (how >> 5));
	for (unsigned n = 0; p < end && n < OPS_MAX; n++)
		operate(&p, end);
	(void)event_loop_once(guest.vmm.loop, 0);
	/* Whatever it did, the function is what it was, and a reset mends it. */
	for (unsigned i = 0; i < ndevs; i++) {
		guest.devfn = devs[i]->place.devfn;
		fuzz_pci_wake(&guest);
		if (fuzz_mem(&guest, fuzz_cfg(&guest, 0), 2, false, 0) != 0x1af4)
			abort();
	}
	return (0);
}
