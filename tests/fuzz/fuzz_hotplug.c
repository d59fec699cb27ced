/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_hotplug.c - a client that puts devices in and takes them out as it likes, and a guest that does what it likes with root ports, what is
 * behind them and their slots, in a PC.
 *
 * Whatever they did, what is behind a port has its keys and nothing else has, and once the guest has switched the slots off everything can
 * be taken out.
 */
#include "fuzz.h"
#include "fuzz_pci.h"
#include "hold.h"
#include "machine/parts.h"
#include "machine/plug.h"
#include "net/net.h"

#define	OPS_MAX		200
#define	NPORTS		3U
#define	FIRST		16U		/* slot of the first port */
#define	BARS		0xc0000000ULL
#define	ECAM		0xb0000000ULL
#define	MSI_CAP		0x84U		/* of a port */
#define	EXPRESS		0x48U
#define	SLOTCTL		(EXPRESS + 0x18)

enum { OP_CONFIG, OP_PORT_REG, OP_POWER, OP_ADD, OP_DEL, OP_BAR, OP_TURN, OP_HOLD, OP_MOVE, OP_ASSIGN, OP_MESSAGES, NOPS };

static struct vmm vmm;
static uint8_t *ram;
static struct machine machine = { .cls = &machine_pc, .vmm = &vmm, .guest_code = -1 };
static char image[32];

/* A network that takes everything. */
static bool
sink_send(struct net *n, const struct net_frame *f)
{
	return (true);
}

static void
sink_nothing(struct net *n)
{
}

static const struct net_ops sink_ops = {
	.takes = NET_TAKES_ALL, .send = sink_send, .flush = sink_nothing, .ready = sink_nothing, .start = sink_nothing, .stop = sink_nothing,
	.close = sink_nothing,
};

static int
sink_open(struct net *n)
{
	n->ops = &sink_ops;
	return (0);
}

NET_BACKEND(sink, "sink", NULL, "takes everything", sink_open);

static void
make_machine(void)
{
	static const struct config_origin origin = { CONFIG_FROM_CODE, "fuzz", 0 };
	char name[32];

	ram = fuzz_vm_open(&vmm);
	if (config_declare(vmm.config, "", &config_global_keys) != 0 || machine_declare(vmm.config) != 0)
		abort();
	for (unsigned i = 0; i < NPORTS; i++) {
		(void)snprintf(name, sizeof(name), "pci.0.%u.0.device", FIRST + i);
		if (config_set(vmm.config, name, "root-port", &origin) != 0)
			abort();
	}
	(void)snprintf(image, sizeof(image), "/proc/self/fd/%d", fuzz_image());
	if (config_check(vmm.config) != 0 || vm_vcpu_open(vmm.vm, 0) == NULL || machine.cls->init(&machine) != 0 ||
	    pci_host_assign(parts_pci_host(&machine)) != 0 || vm_start(vmm.vm) != 0)
		abort();
	devices_resume(&vmm);
}

static uint64_t
mem(uint64_t addr, unsigned size, bool write, uint64_t val)
{
	(void)vm_access(vmm.vm, VM_SPACE_MEM, addr, size, write, &val);
	return (val);
}

static uint64_t
port_reg(unsigned port, unsigned off)
{
	return (ECAM + ((uint64_t)(FIRST + port % NPORTS) << 15) + off);
}

static void
touch(uint64_t addr, const uint8_t **p, const uint8_t *end)
{
	uint8_t how = (uint8_t)fuzz_bytes(p, end, 1);
	unsigned size = 1U << (how & 3);

	(void)mem(addr, size, (how & 4) == 0, (how & 4) == 0 ? fuzz_bytes(p, end, size) : 0);
}

/* A client's request, which may make no sense. */
static void
add(const uint8_t **p, const uint8_t *end)
{
	static const char *const ids[] = { NULL, "a", "b", "pci.0.16.0" }, *const ports[] = { NULL, "pci.0.16.0", "pci.0.17.0", "pci.0.19.0" };
	const unsigned how = (unsigned)fuzz_bytes(p, end, 1);
	const bool disk = (how & 1) != 0;
	const struct plug_key keys[] = {
		{ disk ? "path" : "backend", disk ? image : "sink" }, { "bootindex", (how & 0x80) != 0 ? "1" : "x" }, { "queues", "4" }, { "device", "nvme" },
	};
	const struct plug_request r = {
		.device = (how & 0x70) == 0x70 ? "nvme" : disk ? "virtio-blk" : "virtio-net", .id = ids[how >> 1 & 3], .port = ports[how >> 3 & 3],
		.keys = keys, .nkeys = how >> 5 == 3 ? 4 : how >> 5 == 2 ? 2 : 1,
	};

	(void)plug_add(&machine, &r);
}

static void
check(void)
{
	char name[PARTS_NODE_LEN];

	for (unsigned slot = 0; slot < PARTS_SLOTS; slot++) {
		bool keys = config_is_set(config_node(vmm.config, parts_node_behind(slot, name)), "device");

		if (keys != (parts_behind(&machine, slot) != NULL))
			abort();
	}
}

static void
operate(const uint8_t **p, const uint8_t *end)
{
	static const char *const ids[] = { "a", "b", "pci.16.0.0", "pci.17.0.0", "pci.18.0.0", "pci.0.16.0" };
	static const uint16_t power[] = { 0x07c0, 0x01c0, 0x02c0, 0x12fb };
	const uint8_t op = (uint8_t)fuzz_bytes(p, end, 1);
	unsigned arg = op >> 4;
	uint64_t off;

	/* A guest that is held does nothing. */
	if (vmm_held(&vmm) && (op % 16 <= OP_POWER || op % 16 == OP_BAR))
		return;
	switch (op % 16) {
	case OP_CONFIG:
		off = fuzz_bytes(p, end, 3);
		touch(ECAM + (off & 0x1fff0fff) + ((off & 0xf000) != 0 ? 0 : 0x80000), p, end);
		break;
	case OP_PORT_REG:
		touch(port_reg(arg, (unsigned)fuzz_bytes(p, end, 1)), p, end);
		break;
	case OP_POWER:
		(void)mem(port_reg(arg, SLOTCTL), 2, true, power[arg >> 2 & 3]);
		break;
	case OP_ADD:
		add(p, end);
		break;
	case OP_DEL:
		(void)plug_remove(&machine, ids[arg % 6]);
		break;
	case OP_BAR:
		touch(BARS + fuzz_bytes(p, end, 3), p, end);
		break;
	case OP_TURN:
		(void)event_loop_once(vmm.loop, 0);
		break;
	case OP_HOLD:
		if (vmm_held(&vmm))
			vmm_release(&vmm);
		else if (vmm_hold(&vmm) != 0)
			abort();
		break;
	case OP_MOVE:
		if (!vmm_held(&vmm))
			fuzz_move(&vmm);
		break;
	case OP_ASSIGN:
		if (!vmm_held(&vmm))
			(void)pci_host_assign(parts_pci_host(&machine));
		break;
	case OP_MESSAGES:
		(void)mem(port_reg(arg, MSI_CAP + 4), 4, true, 0xfee00000);
		(void)mem(port_reg(arg, MSI_CAP + 2), 2, true, 1);
		break;
	default:
		break;
	}
}

/* A guest that lets go of everything. */
static void
empty(void)
{
	char name[PARTS_NODE_LEN];

	while (vmm_held(&vmm))
		vmm_release(&vmm);
	for (unsigned i = 0; i < NPORTS; i++) {
		/* Power management may have the port asleep, which is no reason not to answer. */
		(void)mem(port_reg(i, SLOTCTL), 2, true, 0x07c0);
		if (parts_behind(&machine, FIRST + i) != NULL)
			(void)plug_remove(&machine, parts_node_behind(FIRST + i, name));
	}
	for (unsigned n = 0; n < 4; n++)
		(void)event_loop_once(vmm.loop, 0);
	for (unsigned i = 0; i < NPORTS; i++) {
		if (parts_behind(&machine, FIRST + i) != NULL)
			abort();
	}
	check();
}

static const uint8_t plain[] = {
	/* A disk behind the first port; it is switched on, found, and given up when it is asked for. */
	OP_ADD, 0x01, OP_POWER | 0x40, OP_TURN, OP_CONFIG, 0x00, 0x00, 0x01, 6, OP_ASSIGN, OP_BAR, 0x14, 0, 0, 4, OP_MOVE,
	OP_DEL | 0x20, OP_POWER | 0x80, OP_TURN, OP_POWER, OP_TURN,
};

static const uint8_t both[] = {
	/* Two at once by the ids a and b, one of them kept; the port's bus under another number; switched off and on; held meanwhile. */
	OP_MESSAGES, OP_POWER | 0xc0, OP_ADD, 0x03, OP_ADD, 0x04, OP_POWER | 0x40, OP_POWER | 0x50, OP_ASSIGN, OP_TURN, OP_DEL, OP_POWER | 0x80,
	OP_POWER | 0x40, OP_TURN, OP_PORT_REG, 0x19, 0, 0x55, OP_POWER, OP_POWER | 0x40, OP_TURN, OP_HOLD, OP_DEL | 0x10, OP_ADD, 0x01, OP_HOLD,
	OP_PORT_REG | 0x10, 0x3e, 1, 0x40, 0, OP_TURN, OP_PORT_REG | 0x10, 0x3e, 1, 0, 0, OP_TURN, OP_MOVE, OP_PORT_REG, 0x04, 1, 0, 0,
};

static const uint8_t wrong[] = {
	OP_ADD, 0xff, OP_ADD, 0x61, OP_ADD, 0x41, OP_ADD, 0xc1, OP_ADD, 0x09, OP_ADD, 0x09, OP_ADD, 0x18, OP_DEL | 0x50, OP_ADD, 0x07, OP_ADD, 0x00,
};

size_t
fuzz_seed(unsigned n, uint8_t *buf, size_t max)
{
	static const struct fuzz_input seeds[] = { { plain, sizeof(plain) }, { both, sizeof(both) }, { wrong, sizeof(wrong) } };

	return (fuzz_input(seeds, sizeof(seeds) / sizeof(seeds[0]), n, buf, max));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *p = data, *end = data + size;

	if (vmm.vm == NULL)
		make_machine();
	fuzz_restart(&vmm, ram);
	if (pci_host_assign(parts_pci_host(&machine)) != 0)
		abort();
	for (unsigned n = 0; p < end && n < OPS_MAX; n++) {
		operate(&p, end);
		check();
	}
	empty();
	return (0);
}
