/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * root_port.c - a root port as a guest meets it: what it lets through to the device behind it, and its slot.
 */
#include <errno.h>

#include "pci/root_port.h"
#include "pci_fixture.h"

#define	SLOT		PCI_DEVFN(5, 0)
#define	BUS(n)		((unsigned)(n) << 8)
#define	BEHIND		BUS(5)		/* as pci_host_assign() numbers it */

/* Of the port. */
#define	R_BUSES		0x18
#define	R_IO		0x1c
#define	R_MEM		0x20
#define	R_PREF		0x24
#define	R_CONTROL	0x3e
#define	CAP_MSI		0x05
#define	CAP_EXPRESS	0x10
#define	LINKCTL		0x10
#define	LINKSTA		0x12
#define	SLOTCAP		0x14
#define	SLOTCTL		0x18
#define	SLOTSTA		0x1a
#define	CTL_ON		0x01c0U
#define	CTL_OFF		0x07c0U
#define	CTL_POWER	0x0400U
#define	CTL_ALL		0x103bU		/* every event that there is, and interrupts */
#define	BUTTON		0x01U
#define	PRESENCE	0x08U
#define	DONE		0x10U
#define	PRESENT		0x40U
#define	LINK		0x100U
#define	ACTIVE		0x2000U
#define	VEC		0x44U
#define	SECOND		1000000000ULL	/* of the VM's clock */

/* What is behind it: one BAR of each kind, and vectors. */
struct behind {
	struct pci_fn	 fn;
	unsigned	 commands, resets;
	uint16_t	 command;
};

static uint64_t
t_read(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size)
{
	return (0x5a000000U | off);
}

static const struct pci_bar_ops bar_ops = { t_read, NULL };

static void
t_command(struct pci_fn *fn, uint16_t cmd)
{
	struct behind *b = (struct behind *)(void *)fn;

	b->commands++;
	b->command = cmd;
}

static const struct pci_ops pci_ops = { .command = t_command };

static int
t_init(struct device *dev)
{
	static const struct pci_ident ident = {
		.vendor = 0x1234, .device = 0x5678, .class_code = 0x0c0330, .intx = true, .power = true, .flr = PCI_FLR_EXPRESS,
	};
	struct behind *b = dev->soft;

	if (pci_init(&b->fn, dev, &ident, &pci_ops) != 0)
		return (-1);
	CHECK_EQ(pci_add_bar(&b->fn, 0, PCI_BAR_MEM32, 0x1000, &bar_ops, b), 0);
	CHECK_EQ(pci_add_bar(&b->fn, 1, PCI_BAR_IO, 0x20, &bar_ops, b), 0);
	CHECK_EQ(pci_add_bar(&b->fn, 2, PCI_BAR_MEM64, 0x400000, &bar_ops, b), 0);
	CHECK_EQ(pci_add_msix(&b->fn, 2, 4), 0);
	return (0);
}

static void
t_reset(struct device *dev)
{
	((struct behind *)dev->soft)->resets++;
	pci_reset(dev->soft);
}

static const struct vm_state_field fields[] = { PCI_STATE(struct behind) };
static const struct vm_state_table state = VM_STATE_TABLE("test-behind", 1, 1, fields, NULL);

DEVICE_CLASS_NOKEYS(test_behind, "test-behind", "function of a test", &state, .on = DEVICE_ON_PCI, .size = sizeof(struct behind),
    .init = t_init, .fini = px_fini, .reset = t_reset, .pause = px_pause, .resume = px_resume);

/* A second one, without anything. */
static int
t_bare_init(struct device *dev)
{
	static const struct pci_ident ident = { .vendor = 0x1234, .device = 1, .class_code = 0xff0000 };

	return (pci_init(dev->soft, dev, &ident, NULL));
}

DEVICE_CLASS_NOKEYS(test_bare, "test-bare", "function of a test", NULL, .on = DEVICE_ON_PCI, .size = sizeof(struct pci_fn),
    .init = t_bare_init, .fini = px_fini, .reset = px_reset, .pause = px_pause, .resume = px_resume);

static struct fx fx;
static struct pci_host *host;
static struct device *port;
static struct behind *behind;
static struct px_cpu cpu;
static struct vm_irq *pin;	/* of what is behind it */
static unsigned cap, released, kept;

static void
t_released(void *arg, struct device *dev)
{
	CHECK(dev == port && arg == &fx);
	released++;
}

static void
t_kept(void *arg, struct device *dev)
{
	CHECK(dev == port && arg == &fx);
	kept++;
}

static struct device *
make_behind(struct fx *f, struct device *at, const char *cls, const char *name)
{
	const struct device_place place = {
		.on = DEVICE_ON_PCI, .pci = at->place.pci, .port = root_port_of(at), .bus = 5, .nirqs = 1, .irq = { pin },
	};

	return (fx_make_with(f, cls, name, &place, ""));
}

static void
put_in(bool hot)
{
	struct device *dev = make_behind(&fx, port, "test-behind", "behind");

	CHECKF(dev != NULL, "%s", vmm_errmsg());
	behind = dev->soft;
	root_port_insert(port, hot);
}

static void
take_out(void)
{
	CHECK_EQ(vm_pause(fx.vmm.vm), 0);
	device_destroy(behind->fn.dev);
	root_port_removed(port);
	CHECK_EQ(vm_resume(fx.vmm.vm), 0);
	behind = NULL;
}

static void
setup(bool full)
{
	const struct root_port_owner owner = { t_released, t_kept, &fx };

	fx_open(&fx);
	pin = vm_irq_open_line(fx.vmm.vm, 4);
	CHECKF(pin != NULL, "%s", vm_errmsg());
	host = px_host(&fx);
	port = px_make(&fx, host, "root-port", "port", SLOT, fx.irq);
	CHECKF(port != NULL, "%s", vmm_errmsg());
	CHECK(root_port_of(port) != NULL);
	root_port_set_owner(port, &owner);
	released = kept = 0;
	behind = NULL;
	if (full)
		put_in(false);
	CHECKF(pci_host_assign(host) == 0, "%s", vmm_errmsg());
	devices_resume(&fx.vmm);
	cap = cfg_cap(&fx, SLOT, CAP_EXPRESS, 0);
	CHECK(cap != 0);
}

static void
teardown(void)
{
	devices_destroy(&fx.vmm);
	pci_host_free(host);
	vm_irq_close(pin);
	pin = NULL;
	fx_close(&fx);
}

static uint32_t
status(void)
{
	return (cfg_r(&fx, SLOT, cap + SLOTSTA, 2));
}

/* Take note of events, as a driver does. */
static void
clear(uint32_t events)
{
	cfg_w(&fx, SLOT, cap + SLOTSTA, 2, events);
}

static void
control(uint32_t val)
{
	cfg_w(&fx, SLOT, cap + SLOTCTL, 2, val);
}

static bool
active(void)
{
	return ((cfg_r(&fx, SLOT, cap + LINKSTA, 2) & ACTIVE) != 0);
}

static bool
there(enum vm_space space, uint64_t addr)
{
	uint64_t val = 0;

	return (vm_access(fx.vmm.vm, space, addr, 4, false, &val) == 0 && (val & 0xff000000U) == 0x5a000000U);
}

TEST(an_empty_port)
{
	setup(false);
	CHECK_EQ(cfg_r(&fx, SLOT, 8, 4) >> 8, 0x060400);
	CHECK_EQ(cfg_r(&fx, SLOT, 0x0e, 1), 1);
	CHECK_EQ(cfg_r(&fx, SLOT, 0x10, 4), 0);			/* no BARs */
	CHECK_EQ(cfg_r(&fx, SLOT, cap + 2, 2), 0x142);		/* root port with a slot */
	CHECK_EQ(cfg_r(&fx, SLOT, cap + SLOTCAP, 4), 5U << 19 | 0x5b);
	CHECK_EQ(status(), 0);
	CHECK_EQ(cfg_r(&fx, SLOT, cap + SLOTCTL, 4), CTL_OFF);
	CHECK(!active());
	/* There are windows, for what may come; none for ports. */
	CHECK_EQ(cfg_r(&fx, SLOT, R_BUSES, 4), 0x050500);
	CHECK_EQ(cfg_r(&fx, SLOT, R_MEM, 4), ((uint32_t)MEM32_BASE >> 16) | (((uint32_t)MEM32_BASE + 0x1fffff) & 0xfff00000U));
	CHECK_EQ(cfg_r(&fx, SLOT, R_IO, 2), 0x00f0);
	CHECK_EQ(cfg_r(&fx, SLOT, R_PREF + 4, 4), MEM64_BASE >> 32);
	CHECK_EQ(cfg_r(&fx, SLOT, R_COMMAND, 2), 7);
	/* Read-only bits stay. */
	cfg_w(&fx, SLOT, R_BUSES, 4, UINT32_MAX);
	CHECK_EQ(cfg_r(&fx, SLOT, R_BUSES, 4), 0x00ffffff);
	cfg_w(&fx, SLOT, R_IO, 4, UINT32_MAX);
	CHECK_EQ(cfg_r(&fx, SLOT, R_IO, 4), 0xf0f0);
	cfg_w(&fx, SLOT, R_PREF, 4, UINT32_MAX);
	CHECK_EQ(cfg_r(&fx, SLOT, R_PREF, 4), 0xfff1fff1U);
	cfg_w(&fx, SLOT, R_CONTROL, 2, 0xffff);
	CHECK_EQ(cfg_r(&fx, SLOT, R_CONTROL, 2), 0x43);
	cfg_w(&fx, SLOT, cap + SLOTCTL, 2, 0xffff);
	CHECK_EQ(cfg_r(&fx, SLOT, cap + SLOTCTL, 2), 0x17ff);
	CHECK_EQ(status(), DONE);
	for (unsigned bus = 1; bus < 256; bus++)
		CHECK_EQ(cfg_r(&fx, BUS(bus), 0, 4), UINT32_MAX);
	teardown();
}

TEST(buses)
{
	setup(true);
	CHECK_EQ(status(), PRESENT);
	CHECK_EQ(cfg_r(&fx, SLOT, cap + SLOTCTL, 4), PRESENT << 16 | CTL_ON);
	CHECK(active());
	CHECK_EQ(cfg_r(&fx, BEHIND, 0, 4), 0x56781234);
	CHECK_EQ(cfg_port_r(&fx, BEHIND, 0, 4), 0x56781234);
	CHECK_EQ(cfg_r(&fx, BEHIND, R_LINE, 1), 4);
	/* As an endpoint, with a link. */
	CHECK_EQ(cfg_r(&fx, BEHIND, cfg_cap(&fx, BEHIND, CAP_EXPRESS, 0) + 2, 2), 2);
	CHECK_EQ(cfg_r(&fx, BEHIND, cfg_cap(&fx, BEHIND, CAP_EXPRESS, 0) + LINKSTA, 2), 0x11);
	for (unsigned devfn = 1; devfn < 256; devfn++)
		CHECK_EQ(cfg_r(&fx, BEHIND | devfn, 0, 4), UINT32_MAX);
	CHECK_EQ(cfg_r(&fx, BUS(6), 0, 4), UINT32_MAX);
	/* The guest counts otherwise. */
	cfg_port_w(&fx, SLOT, R_BUSES, 4, 0xfe7700);
	CHECK_EQ(cfg_r(&fx, BEHIND, 0, 4), UINT32_MAX);
	CHECK_EQ(cfg_r(&fx, BUS(0x77), 0, 4), 0x56781234);
	CHECK_EQ(cfg_r(&fx, BUS(0x78), 0, 4), UINT32_MAX);
	/* Bus 0 is never behind it. */
	cfg_w(&fx, SLOT, R_BUSES, 4, 0);
	CHECK_EQ(cfg_r(&fx, 0, 0, 4), UINT32_MAX);
	CHECK_EQ(cfg_r(&fx, SLOT, R_BUSES, 4), 0);
	teardown();
}

TEST(windows)
{
	uint64_t mem, io, pref;

	setup(true);
	mem = cfg_bar(&fx, BEHIND, 0);
	io = cfg_bar(&fx, BEHIND, 1);
	pref = cfg_bar(&fx, BEHIND, 2);
	CHECK(mem >= MEM32_BASE && io >= IO_BASE && pref >= MEM64_BASE && pref % 0x400000 == 0);
	CHECK_EQ(cfg_r(&fx, SLOT, R_IO, 2), (io >> 8 & 0xf0) | (io & 0xf000));
	CHECK(there(VM_SPACE_MEM, mem) && there(VM_SPACE_IO, io) && there(VM_SPACE_MEM, pref + 0x3ffffc));
	/* The port's command register. */
	cfg_w(&fx, SLOT, R_COMMAND, 2, PCI_CMD_MEM);
	CHECK(there(VM_SPACE_MEM, mem) && !there(VM_SPACE_IO, io) && there(VM_SPACE_MEM, pref));
	CHECK_EQ(behind->command, PCI_CMD_MEM);
	cfg_w(&fx, SLOT, R_COMMAND, 2, PCI_CMD_IO);
	CHECK(!there(VM_SPACE_MEM, mem) && there(VM_SPACE_IO, io) && !there(VM_SPACE_MEM, pref));
	CHECK_EQ(cfg_r(&fx, BEHIND, R_COMMAND, 2) & 7, PCI_CMD_IO | PCI_CMD_MEM);
	cfg_w(&fx, SLOT, R_COMMAND, 2, 7);
	/* A window that ends in the middle of a BAR, one that is below its base, one of 4 KiB of ports elsewhere. */
	cfg_w(&fx, SLOT, R_PREF, 4, (uint32_t)(pref >> 16) | ((uint32_t)pref + 0x200000));
	CHECK(!there(VM_SPACE_MEM, pref) && there(VM_SPACE_MEM, mem));
	cfg_w(&fx, SLOT, R_PREF, 4, (uint32_t)(pref >> 16) | ((uint32_t)pref + 0x300000));
	CHECK(there(VM_SPACE_MEM, pref));
	cfg_w(&fx, SLOT, R_MEM, 4, (uint32_t)(mem >> 16) | ((uint32_t)mem - 0x100000));
	CHECK(!there(VM_SPACE_MEM, mem) && there(VM_SPACE_MEM, pref));
	cfg_w(&fx, SLOT, R_IO, 2, 0xe0e0);
	CHECK(!there(VM_SPACE_IO, io));
	cfg_w(&fx, BEHIND, R_BAR(1), 4, 0xefe0);
	CHECK(there(VM_SPACE_IO, 0xefe0));
	/* Either window is for either kind of memory. */
	cfg_w(&fx, BEHIND, R_BAR(0), 4, MEM32_BASE);
	cfg_w(&fx, SLOT, R_PREF + 4, 4, 0);
	cfg_w(&fx, SLOT, R_PREF + 8, 4, 0);
	cfg_w(&fx, SLOT, R_PREF, 4, (uint32_t)(MEM32_BASE >> 16) | (uint32_t)MEM32_BASE);
	CHECK(there(VM_SPACE_MEM, MEM32_BASE) && !there(VM_SPACE_MEM, pref));
	/* Switched off, the port lets nothing through, and what is behind it is not found. */
	cfg_w(&fx, SLOT, cfg_cap(&fx, SLOT, 0x01, 0) + 4, 2, 3);
	CHECK(!there(VM_SPACE_MEM, MEM32_BASE) && !there(VM_SPACE_IO, 0xefe0));
	CHECK_EQ(cfg_r(&fx, BEHIND, 0, 4), UINT32_MAX);
	cfg_w(&fx, SLOT, cfg_cap(&fx, SLOT, 0x01, 0) + 4, 2, 0);
	CHECK(there(VM_SPACE_MEM, MEM32_BASE) && there(VM_SPACE_IO, 0xefe0));
	CHECK_EQ(behind->resets, 1);
	teardown();
}

/* What is behind a port reaches memory if both may, and a message is memory. */
TEST(the_way_to_memory)
{
	struct px_msix mx;

	setup(true);
	px_start(&cpu, &fx);
	mx = px_msix(&fx, BEHIND);
	msix_set(&mx, 0, MSI_DATA(VEC));
	msix_control(&mx, MSIX_ON);
	cfg_w(&fx, BEHIND, R_COMMAND, 2, 7);
	CHECK(pci_master(&behind->fn));
	pci_msix_raise(&behind->fn, 0);
	CHECK_EQ(px_next(&cpu), VEC);
	CHECK_EQ(px_next(&cpu), 0);
	cfg_w(&fx, SLOT, R_COMMAND, 2, PCI_CMD_MEM);
	CHECK(!pci_master(&behind->fn));
	pci_msix_raise(&behind->fn, 0);
	CHECK_EQ(px_next(&cpu), 0);
	CHECK(msix_pending(&mx, 0));
	/* Another number of the bus is another sender: what is pending stays so. */
	cfg_w(&fx, SLOT, R_BUSES, 4, 0x090900);
	CHECK_EQ(pci_requester(&behind->fn), 0x0900);
	CHECK_EQ(px_next(&cpu), 0);
	cfg_w(&fx, SLOT, R_COMMAND, 2, 7);
	CHECK_EQ(px_next(&cpu), VEC);
	CHECK_EQ(px_next(&cpu), 0);
	teardown();
}

static uint8_t pin_at;
static bool pin_level;

static void
on_pin(void *arg, uint8_t devfn, bool level)
{
	if (devfn != SLOT) {
		pin_at = devfn;
		pin_level = level;
	}
}

TEST(pin_of_what_is_behind)
{
	struct vm_irq_info info;

	setup(true);
	pci_host_on_pin(host, on_pin, NULL);
	pci_intx(&behind->fn, true);
	CHECK(vm_irq_get_info(pin, &info) == 0 && info.level && pin_level);
	CHECK_EQ(pin_at, PCI_DEVFN(5, 1));
	/* A link that goes down takes it along. */
	control(CTL_OFF);
	CHECK(vm_irq_get_info(pin, &info) == 0 && !info.level && !pin_level);
	teardown();
}

/* A driver that wants messages. */
static void
messages(void)
{
	unsigned msi = cfg_cap(&fx, SLOT, CAP_MSI, 0);

	px_start(&cpu, &fx);
	cfg_w(&fx, SLOT, msi + 4, 4, MSI_ADDR);
	cfg_w(&fx, SLOT, msi + 12, 2, MSI_DATA(VEC));
	cfg_w(&fx, SLOT, msi + 2, 2, 1);
}

TEST(put_in_while_it_runs)
{
	setup(false);
	messages();
	control(CTL_OFF | CTL_ALL);
	CHECK_EQ(px_next(&cpu), VEC);			/* the command is completed */
	CHECK_EQ(px_next(&cpu), 0);
	CHECK_EQ(status(), DONE);
	clear(DONE);
	put_in(true);
	CHECK_EQ(px_next(&cpu), VEC);
	CHECK_EQ(px_next(&cpu), 0);			/* once for all of it */
	CHECK_EQ(status(), PRESENT | PRESENCE | BUTTON);
	CHECK(!active());
	CHECK_EQ(cfg_r(&fx, BEHIND, 0, 4), UINT32_MAX);
	/* Some of the events are not all. */
	clear(BUTTON);
	CHECK_EQ(status(), PRESENT | PRESENCE);
	clear(PRESENCE);
	CHECK_EQ(px_next(&cpu), 0);
	control(CTL_ON | CTL_ALL);
	CHECK_EQ(px_next(&cpu), VEC);
	CHECK_EQ(status(), PRESENT | DONE | LINK);
	CHECK(active());
	CHECK_EQ(cfg_r(&fx, BEHIND, 0, 4), 0x56781234);
	CHECK_EQ(behind->resets, 1);
	clear(0xffff);
	CHECK_EQ(status(), PRESENT);
	/* An event that nobody asked for is none. */
	control(CTL_ON | 0x20);
	clear(DONE);
	CHECK_EQ(root_port_eject(port), ROOT_PORT_ASKED);
	CHECK_EQ(px_next(&cpu), 0);
	CHECK_EQ(status(), PRESENT | BUTTON);
	control(CTL_ON | CTL_ALL);
	CHECK_EQ(px_next(&cpu), VEC);
	teardown();
}

/* Without messages the pin is a level. */
TEST(events_by_the_pin)
{
	setup(false);
	control(CTL_OFF | CTL_ALL);
	CHECK(fx_level(&fx));
	clear(DONE);
	CHECK(!fx_level(&fx));
	put_in(true);
	CHECK(fx_level(&fx));
	clear(PRESENCE | BUTTON);
	CHECK(!fx_level(&fx));
	teardown();
}

TEST(taken_out)
{
	setup(true);
	CHECK(!root_port_ejecting(port));
	CHECK_EQ(root_port_eject(port), ROOT_PORT_ASKED);
	CHECK(root_port_ejecting(port));
	CHECK_EQ(status(), PRESENT | BUTTON);
	CHECK(root_port_eject(port) == -1 && errno == EBUSY);
	CHECK_HAS(vmm_errmsg(), "has not answered");
	fx_turn(&fx);
	CHECK_EQ(released, 0);
	/* It blinks, and then it is off. */
	control(0x02c0);
	fx_turn(&fx);
	CHECK_EQ(released + kept, 0);
	CHECK(active());
	control(CTL_OFF);
	CHECK(!active());
	CHECK_EQ(cfg_r(&fx, BEHIND, 0, 4), UINT32_MAX);
	CHECK_EQ(released, 0);				/* not on a vCPU's thread */
	fx_turn(&fx);
	CHECK_EQ(released, 1);
	CHECK_EQ(behind->resets, 1);
	take_out();
	CHECK_EQ(status() & PRESENT, 0);
	CHECK(!root_port_ejecting(port));
	clear(0xffff);
	CHECK_EQ(status(), 0);
	/* The next one. */
	put_in(true);
	control(CTL_ON);
	CHECK(active());
	CHECK_EQ(cfg_r(&fx, BEHIND, 0, 4), 0x56781234);
	/* A slot that is off is for the taking. */
	control(CTL_OFF);
	CHECK_EQ(root_port_eject(port), ROOT_PORT_OFF);
	take_out();
	fx_turn(&fx);
	CHECK_EQ(released, 1);
	teardown();
}

TEST(the_guest_keeps_it)
{
	setup(true);
	CHECK_EQ(root_port_eject(port), ROOT_PORT_ASKED);
	control(0x02c0);
	control(CTL_ON);
	fx_turn(&fx);
	CHECK_EQ(kept, 1);
	CHECK_EQ(released, 0);
	CHECK(!root_port_ejecting(port));
	/* It is asked again. */
	CHECK_EQ(root_port_eject(port), ROOT_PORT_ASKED);
	control(CTL_OFF);
	fx_turn(&fx);
	CHECK_EQ(released, 1);
	CHECK_EQ(kept, 1);
	teardown();
}

/* The indicator blinks for the slot that is being switched on, and then is on: that is no answer to a button that was pressed meanwhile. */
TEST(asked_while_the_slot_is_switched_on)
{
	setup(true);
	control(0x02c0);
	CHECK_EQ(root_port_eject(port), ROOT_PORT_ASKED);
	control(CTL_ON);
	fx_turn(&fx);
	CHECK_EQ(kept, 0);
	CHECK(root_port_ejecting(port));
	/* An answer begins to blink. */
	control(0x02c0);
	control(CTL_ON);
	fx_turn(&fx);
	CHECK_EQ(kept, 1);
	control(0x02c0);
	CHECK_EQ(root_port_eject(port), ROOT_PORT_ASKED);
	control(CTL_ON);
	control(CTL_OFF);
	fx_turn(&fx);
	CHECK_EQ(released, 1);
	CHECK_EQ(kept, 1);
	teardown();
}

/* A driver that begins clears the events that there are. */
TEST(a_press_that_nobody_hears)
{
	uint64_t start;

	setup(true);
	start = vm_clock_now(fx.vmm.vm);
	CHECK_EQ(root_port_eject(port), ROOT_PORT_ASKED);
	CHECK_EQ(vm_clock_set(fx.vmm.vm, start + 7 * SECOND), 0);
	CHECK(root_port_eject(port) == -1 && errno == EBUSY);	/* it is there to be heard */
	clear(0xffff);
	CHECK_EQ(status(), PRESENT);
	CHECK_EQ(vm_clock_set(fx.vmm.vm, start + 5 * SECOND), 0);
	CHECK(root_port_eject(port) == -1 && errno == EBUSY);	/* it may yet be acted on */
	CHECK_EQ(vm_clock_set(fx.vmm.vm, start + 7 * SECOND), 0);
	CHECK_EQ(root_port_eject(port), ROOT_PORT_ASKED);
	CHECK_EQ(status(), PRESENT | BUTTON);
	/* Of the second press as of the first. */
	clear(BUTTON);
	CHECK(root_port_eject(port) == -1 && errno == EBUSY);
	/* A guest that is at it, for however long. */
	control(0x02c0);
	CHECK_EQ(vm_clock_set(fx.vmm.vm, start + 100 * SECOND), 0);
	CHECK(root_port_eject(port) == -1 && errno == EBUSY);
	control(CTL_OFF);
	fx_turn(&fx);
	CHECK_EQ(released, 1);
	CHECK_EQ(kept, 0);
	teardown();
}

/* Off is off, whatever the guest writes before the device is gone. */
TEST(off_and_on_again)
{
	setup(true);
	CHECK_EQ(root_port_eject(port), ROOT_PORT_ASKED);
	control(0x02c0);
	control(0x06c0);
	control(CTL_ON);
	CHECK(!active());
	CHECK_EQ(cfg_r(&fx, BEHIND, 0, 4), UINT32_MAX);
	CHECK_EQ(root_port_eject(port), ROOT_PORT_OFF);
	fx_turn(&fx);
	CHECK_EQ(released, 1);
	CHECK_EQ(kept, 0);
	CHECK_EQ(behind->resets, 1);
	take_out();
	/* The slot that it left on is on for the next one. */
	put_in(true);
	CHECK(active());
	CHECK(!root_port_ejecting(port));
	/* One that was off before it was asked for stays off. */
	control(CTL_OFF);
	CHECK_EQ(root_port_eject(port), ROOT_PORT_OFF);
	control(CTL_ON);
	CHECK(!active());
	take_out();
	teardown();
}

/* Until it is in the slot, what the guest writes to the port's registers does not get to a device that is being made. */
TEST(not_in_the_slot_yet)
{
	struct device *dev;
	unsigned commands;

	setup(false);
	control(CTL_ON);
	dev = make_behind(&fx, port, "test-behind", "behind");
	CHECKF(dev != NULL, "%s", vmm_errmsg());
	behind = dev->soft;
	commands = behind->commands;
	cfg_w(&fx, SLOT, R_BUSES, 4, 0x090900);
	cfg_w(&fx, SLOT, R_COMMAND, 2, PCI_CMD_MEM);
	CHECK_EQ(behind->commands, commands);
	CHECK_EQ(cfg_r(&fx, BUS(9), 0, 4), UINT32_MAX);
	root_port_insert(port, true);
	CHECK_EQ(behind->commands, commands + 1);
	CHECK_EQ(pci_requester(&behind->fn), 0x0900);
	CHECK_EQ(cfg_r(&fx, BUS(9), 0, 4), 0x56781234);
	teardown();
}

/* Whatever takes the link down resets what is behind it, before it is found again. */
TEST(a_lost_link)
{
	static const struct { unsigned off; uint32_t down, up; } ways[] = {
		{ R_CONTROL, 0x40, 0 }, { LINKCTL, 0x10, 0 }, { SLOTCTL, CTL_OFF, CTL_ON },
	};

	setup(true);
	for (unsigned i = 0; i < 3; i++) {
		unsigned reg = i == 0 ? ways[i].off : cap + ways[i].off;

		cfg_w(&fx, BEHIND, R_COMMAND, 2, 7);
		cfg_w(&fx, BEHIND, R_LINE, 1, 0x77);
		cfg_w(&fx, SLOT, reg, 2, ways[i].down);
		CHECK(!active());
		CHECK_EQ(behind->command & 7, 0);
		CHECK_EQ(cfg_r(&fx, BEHIND, 0, 4), UINT32_MAX);
		cfg_w(&fx, SLOT, reg, 2, ways[i].up);
		CHECK_EQ(behind->resets, 1 + i);
		CHECK(!active());			/* not yet */
		CHECK_EQ(cfg_r(&fx, BEHIND, 0, 4), UINT32_MAX);
		fx_turn(&fx);
		CHECK_EQ(behind->resets, 2 + i);
		CHECK(active());
		CHECK_EQ(cfg_r(&fx, BEHIND, R_LINE, 1), 0);
		CHECK_EQ(cfg_r(&fx, BEHIND, R_COMMAND, 2), 0);
	}
	CHECK_EQ(released + kept, 0);
	teardown();
}

TEST(one_device_behind_a_port)
{
	setup(true);
	CHECK(make_behind(&fx, port, "test-bare", "second") == NULL);
	CHECK_HAS(vmm_errmsg(), "the slot of port is taken by behind");
	CHECK(make_behind(&fx, port, "root-port", "nested") == NULL);
	CHECK_HAS(vmm_errmsg(), "nested: behind a port is room for one device without other buses");
	CHECK_EQ(cfg_r(&fx, BEHIND, 0, 4), 0x56781234);
	teardown();
}

/* A machine that is held: the guest hears of it when it goes on. */
TEST(while_it_is_held)
{
	setup(false);
	messages();
	control(CTL_OFF | CTL_ALL);
	clear(DONE);
	CHECK_EQ(px_next(&cpu), VEC);
	CHECK_EQ(vm_pause(fx.vmm.vm), 0);
	devices_pause(&fx.vmm);
	put_in(true);
	devices_resume(&fx.vmm);
	CHECK_EQ(vm_resume(fx.vmm.vm), 0);
	CHECK_EQ(px_next(&cpu), VEC);
	CHECK_EQ(px_next(&cpu), 0);
	CHECK_EQ(status(), PRESENT | PRESENCE | BUTTON);
	control(CTL_ON);
	CHECK_EQ(cfg_r(&fx, BEHIND, 0, 4), 0x56781234);
	teardown();
}

/* In the middle of everything, into another machine of the same devices. */
TEST(state_goes_on)
{
	struct vm_irq *before = pin;
	struct fx to;
	struct pci_host *other;
	struct device *at, *dev;

	setup(true);
	cfg_w(&fx, SLOT, R_BUSES, 4, 0x070700);
	cfg_w(&fx, BUS(7), R_COMMAND, 2, 7);
	CHECK_EQ(root_port_eject(port), ROOT_PORT_ASKED);
	control(0x02c0 | CTL_ALL);
	devices_pause(&fx.vmm);
	fx_open(&to);
	other = px_host(&to);
	pin = vm_irq_open_line(to.vmm.vm, 4);
	CHECKF(pin != NULL, "%s", vm_errmsg());
	at = px_make(&to, other, "root-port", "port", SLOT, to.irq);
	CHECKF(at != NULL, "%s", vmm_errmsg());
	dev = make_behind(&to, at, "test-behind", "behind");
	CHECKF(dev != NULL, "%s", vmm_errmsg());
	root_port_insert(at, false);
	fx_move(&fx, &to);
	devices_destroy(&fx.vmm);
	pci_host_free(host);
	vm_irq_close(before);
	fx_close(&fx);
	fx = to;
	fx.vmm.devices->vmm = fx.vmm.devices->next->vmm = &fx.vmm;
	host = other;
	port = at;
	behind = dev->soft;
	root_port_set_owner(port, &(struct root_port_owner){ t_released, t_kept, &fx });
	devices_resume(&fx.vmm);
	CHECK(fx_level(&fx));
	CHECK_EQ(status(), PRESENT | BUTTON | DONE);
	CHECK_EQ(cfg_r(&fx, BUS(7), R_COMMAND, 2), 7);
	CHECK(pci_master(&behind->fn));
	CHECK(there(VM_SPACE_MEM, cfg_bar(&fx, BUS(7), 0)));
	CHECK(root_port_ejecting(port));
	control(CTL_OFF);
	fx_turn(&fx);
	CHECK_EQ(released, 1);
	teardown();
}

TEST(reset)
{
	setup(true);
	control(CTL_OFF);
	fx_turn(&fx);
	CHECK(!active());
	CHECK_EQ(vm_pause(fx.vmm.vm), 0);
	fx_reset(&fx);
	CHECK_EQ(vm_resume(fx.vmm.vm), 0);
	CHECK_EQ(cfg_r(&fx, SLOT, R_BUSES, 4), 0);
	CHECK_EQ(cfg_r(&fx, SLOT, R_COMMAND, 2), PCI_CMD_MASTER);	/* as SeaBIOS leaves it */
	CHECK_EQ(cfg_r(&fx, SLOT, cap + SLOTCTL, 4), PRESENT << 16 | CTL_ON);
	CHECK(active());
	CHECKF(pci_host_assign(host) == 0, "%s", vmm_errmsg());
	CHECK_EQ(cfg_r(&fx, BEHIND, 0, 4), 0x56781234);
	teardown();
}

/* Many ports, whose windows do not meet. */
TEST(windows_of_many)
{
	char name[8];
	uint64_t end = 0;

	fx_open(&fx);
	host = px_host(&fx);
	for (unsigned i = 1; i < 31; i++) {
		(void)snprintf(name, sizeof(name), "p%u", i);
		CHECKF(px_make(&fx, host, "root-port", name, PCI_DEVFN(i, 0), fx.irq) != NULL, "%s", vmm_errmsg());
	}
	CHECKF(pci_host_assign(host) == 0, "%s", vmm_errmsg());
	for (unsigned i = 1; i < 31; i++) {
		uint32_t mem = cfg_r(&fx, PCI_DEVFN(i, 0), R_MEM, 4);

		CHECK((uint64_t)(mem & 0xffff) << 16 >= end);
		end = (mem & 0xffff0000U) + 0x100000ULL;
		CHECK_EQ(cfg_r(&fx, PCI_DEVFN(i, 0), R_BUSES, 4), i << 16 | i << 8);
	}
	teardown();
}

TEST_MAIN()
