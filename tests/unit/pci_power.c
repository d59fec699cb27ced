/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pci_power.c - what a driver can do to a function as a whole: switch it off and on (PM 1.2), and reset it alone (PCIe 6.6.2, or Advanced
 * Features).
 */
#include "pci_fixture.h"

#define	SLOT		PCI_DEVFN(3, 0)
#define	OTHER		PCI_DEVFN(4, 0)

#define	ID_POWER	0x01
#define	ID_EXPRESS	0x10
#define	ID_AF		0x13
#define	PMCSR		4
#define	DEVCTL		8
#define	DEVCTL_FLR	0x8000U
#define	AF_CONTROL	4

/* A function of the test's own, which counts what is done to it. */
struct tpci {
	struct pci_fn	 fn;
	unsigned	 resets, pauses, commands;
	uint16_t	 command;
	bool		 mapped, active;
};

static uint64_t
t_read(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size)
{
	return (0x12345678);
}

static const struct pci_bar_ops bar_ops = { t_read, NULL };

static void
t_moved(struct pci_fn *fn, unsigned n, bool mapped, uint64_t addr)
{
	if (n == 0)
		((struct tpci *)(void *)fn)->mapped = mapped;
}

static void
t_command(struct pci_fn *fn, uint16_t cmd)
{
	struct tpci *t = (struct tpci *)(void *)fn;

	t->commands++;
	t->command = cmd;
}

static const struct pci_ops pci_ops = { .bar_moved = t_moved, .command = t_command };

static int
t_init_as(struct device *dev, enum pci_flr flr)
{
	const struct pci_ident ident = {
		.vendor = 0x1234, .device = 0x5678, .class_code = 0x0c0330, .intx = true, .power = true, .flr = flr,
	};
	struct tpci *t = dev->soft;

	if (pci_init(&t->fn, dev, &ident, &pci_ops) != 0)
		return (-1);
	CHECK_EQ(pci_add_bar(&t->fn, 0, PCI_BAR_MEM32, 0x1000, &bar_ops, t), 0);
	CHECK_EQ(pci_add_bar(&t->fn, 1, PCI_BAR_IO, 0x40, &bar_ops, t), 0);
	CHECK_EQ(pci_add_msix(&t->fn, 2, 4), 0);
	return (0);
}

static int
t_init(struct device *dev)
{
	return (t_init_as(dev, PCI_FLR_EXPRESS));
}

static int
t_init_conventional(struct device *dev)
{
	return (t_init_as(dev, PCI_FLR_CONVENTIONAL));
}

static void
t_reset(struct device *dev)
{
	struct tpci *t = dev->soft;

	CHECK(!t->active);
	t->resets++;
	pci_reset(&t->fn);
}

static void
t_pause(struct device *dev)
{
	struct tpci *t = dev->soft;

	t->active = false;
	t->pauses++;
	pci_pause(&t->fn);
}

static void
t_resume(struct device *dev)
{
	struct tpci *t = dev->soft;

	t->active = true;
	pci_resume(&t->fn);
}

static const struct vm_state_field fields[] = { PCI_STATE(struct tpci) };
static const struct vm_state_table state = VM_STATE_TABLE("test-power", 1, 1, fields, NULL);

DEVICE_CLASS_NOKEYS(test_power, "test-power", "function of a test", &state, .on = DEVICE_ON_PCI,
    .size = sizeof(struct tpci), .init = t_init, .fini = px_fini, .reset = t_reset, .pause = t_pause, .resume = t_resume);
DEVICE_CLASS_NOKEYS(test_power_af, "test-power-af", "conventional function of a test", &state, .on = DEVICE_ON_PCI,
    .size = sizeof(struct tpci), .init = t_init_conventional, .fini = px_fini, .reset = t_reset, .pause = t_pause, .resume = t_resume);

static struct fx fx;
static struct pci_host *host;
static struct device *dev;
static struct tpci *t, *other;

static struct device *
make(struct fx *f, struct pci_host *h, const char *cls, const char *name, unsigned devfn)
{
	struct device *d = px_make(f, h, cls, name, devfn, devfn == SLOT ? f->irq : NULL);

	CHECKF(d != NULL, "%s", vmm_errmsg());
	return (d);
}

static void
setup(const char *cls)
{
	fx_open(&fx);
	host = px_host(&fx);
	dev = make(&fx, host, cls, "t", SLOT);
	t = dev->soft;
	other = make(&fx, host, cls, "other", OTHER)->soft;
	CHECKF(pci_host_assign(host) == 0, "%s", vmm_errmsg());
	devices_resume(&fx.vmm);
	cfg_w(&fx, SLOT, R_COMMAND, 2, PCI_CMD_IO | PCI_CMD_MEM | PCI_CMD_MASTER);
}

static void
teardown(void)
{
	devices_destroy(&fx.vmm);
	pci_host_free(host);
	fx_close(&fx);
}

static bool
there(enum vm_space space, uint64_t addr)
{
	uint64_t v;

	return (vm_access(fx.vmm.vm, space, addr, 4, false, &v) == 0 && v == 0x12345678);
}

static unsigned
cap(uint8_t id)
{
	unsigned at = cfg_cap(&fx, SLOT, id, 0);

	CHECK(at != 0);
	return (at);
}

static void
set_state(unsigned d)
{
	cfg_w(&fx, SLOT, cap(ID_POWER) + PMCSR, 2, d);
}

static unsigned
get_state(void)
{
	return (cfg_r(&fx, SLOT, cap(ID_POWER) + PMCSR, 2));
}

TEST(capabilities)
{
	unsigned at;

	setup("test-power");
	at = cap(ID_POWER);
	CHECK_EQ(cfg_r(&fx, SLOT, at + 2, 2), 3);		/* PM 1.2, D0 and D3 alone, no events */
	CHECK_EQ(cfg_r(&fx, SLOT, at + 4, 4), 8);		/* D0; what it has is kept in D3hot */
	at = cap(ID_EXPRESS);
	CHECK_EQ(cfg_r(&fx, SLOT, at + 2, 2), 0x92);		/* version 2, root complex integrated endpoint */
	CHECK_EQ(cfg_r(&fx, SLOT, at + 4, 4), 0x10008000);	/* function level reset, role-based errors */
	CHECK_EQ(cfg_r(&fx, SLOT, at + 8, 4), 0x2810);
	cfg_w(&fx, SLOT, at + 8, 4, 0xffff7fff);
	CHECK_EQ(cfg_r(&fx, SLOT, at + 8, 4), 0x781f);
	cfg_w(&fx, SLOT, at + 4, 4, 0);
	CHECK_EQ(cfg_r(&fx, SLOT, at + 4, 4), 0x10008000);
	CHECK_EQ(cfg_cap(&fx, SLOT, ID_AF, 0), 0);
	teardown();

	setup("test-power-af");
	at = cap(ID_AF);
	CHECK_EQ(cfg_r(&fx, SLOT, at + 2, 1), 6);
	CHECK_EQ(cfg_r(&fx, SLOT, at + 3, 1), 3);
	CHECK_EQ(cfg_r(&fx, SLOT, at + 4, 2), 0);
	CHECK_EQ(cfg_cap(&fx, SLOT, ID_EXPRESS, 0), 0);
	teardown();
}

/* It has nothing but its configuration, and gets all of it back. */
TEST(off_and_on)
{
	uint64_t mem, io;

	setup("test-power");
	mem = cfg_bar(&fx, SLOT, 0);
	io = cfg_bar(&fx, SLOT, 1);
	CHECK(there(VM_SPACE_MEM, mem) && there(VM_SPACE_IO, io));
	pci_intx(&t->fn, true);
	CHECK(fx_level(&fx));
	CHECK(pci_master(&t->fn));
	t->commands = 0;

	set_state(3);
	CHECK_EQ(get_state(), 8 | 3);
	CHECK(!there(VM_SPACE_MEM, mem) && !there(VM_SPACE_IO, io));
	CHECK(!t->mapped);
	CHECK(!fx_level(&fx));
	CHECK(!pci_master(&t->fn));
	CHECK_EQ(t->commands, 1);
	CHECK_EQ(t->command & (PCI_CMD_IO | PCI_CMD_MEM | PCI_CMD_MASTER), 0);
	/* What is written to its configuration holds from D0 on. */
	CHECK_EQ(cfg_r(&fx, SLOT, R_COMMAND, 2), PCI_CMD_IO | PCI_CMD_MEM | PCI_CMD_MASTER);
	cfg_w(&fx, SLOT, R_BAR(0), 4, (uint32_t)mem + 0x100000);
	cfg_w(&fx, SLOT, R_COMMAND, 2, PCI_CMD_MEM | PCI_CMD_MASTER);
	CHECK(!there(VM_SPACE_MEM, mem + 0x100000));
	CHECK(!pci_master(&t->fn));

	set_state(0);
	CHECK_EQ(get_state(), 8);
	CHECK(there(VM_SPACE_MEM, mem + 0x100000) && !there(VM_SPACE_IO, io));
	CHECK(t->mapped);
	CHECK(fx_level(&fx));
	CHECK(pci_master(&t->fn));
	CHECK_EQ(t->command, PCI_CMD_MEM | PCI_CMD_MASTER);
	CHECK_EQ(t->resets, 1);
	teardown();
}

/* PM 3.2.4: what it does not have changes nothing, from either of those that it has. */
TEST(states_that_there_are_not)
{
	setup("test-power");
	for (unsigned d = 1; d <= 2; d++) {
		set_state(d);
		CHECK_EQ(get_state(), 8);
		CHECK(pci_master(&t->fn));
	}
	set_state(3);
	for (unsigned d = 1; d <= 2; d++) {
		set_state(d);
		CHECK_EQ(get_state(), 8 | 3);
		CHECK(!pci_master(&t->fn));
	}
	/* By parts of the register too. */
	cfg_w(&fx, SLOT, cap(ID_POWER) + PMCSR + 1, 1, 0xff);
	CHECK_EQ(get_state(), 8 | 3);
	cfg_w(&fx, SLOT, cap(ID_POWER) + PMCSR, 1, 0);
	CHECK_EQ(get_state(), 8);
	teardown();
}

/* A message that it wants to send meanwhile is sent when it is on. */
TEST(messages_wait)
{
	struct px_cpu cpu;
	struct px_msix mx;

	setup("test-power");
	px_start(&cpu, &fx);
	mx = px_msix(&fx, SLOT);
	msix_set(&mx, 0, MSI_DATA(0x41));
	msix_control(&mx, MSIX_ON);
	pci_msix_raise(&t->fn, 0);
	CHECK_EQ(px_next(&cpu), 0x41);
	set_state(3);
	pci_msix_raise(&t->fn, 0);
	CHECK_EQ(px_next(&cpu), 0);
	set_state(0);
	CHECK_EQ(px_next(&cpu), 0x41);
	CHECK_EQ(px_next(&cpu), 0);
	teardown();
}

/* Where a driver asks for a reset, and how. */
static void
ask(void)
{
	unsigned at = cfg_cap(&fx, SLOT, ID_EXPRESS, 0);

	if (at != 0)
		cfg_w(&fx, SLOT, at + DEVCTL, 2, DEVCTL_FLR);
	else
		cfg_w(&fx, SLOT, cap(ID_AF) + AF_CONTROL, 1, 1);
}

static void
is_away(void)
{
	CHECK_EQ(cfg_r(&fx, SLOT, 0, 4), 0xffffffff);
	CHECK_EQ(cfg_r(&fx, SLOT, R_COMMAND, 2), 0xffff);
	CHECK_EQ(cfg_r(&fx, SLOT, 8, 1), 0xff);
	/* Nor does it do anything else, whoever is late. */
	CHECK(!t->mapped);
	CHECK_EQ(t->command & (PCI_CMD_IO | PCI_CMD_MEM | PCI_CMD_MASTER), 0);
	CHECK(!fx_level(&fx));
}

/* As after power-on, and another one than it was. */
static void
is_new(unsigned resets)
{
	CHECK_EQ(t->resets, resets);
	CHECK_EQ(cfg_r(&fx, SLOT, 0, 4), 0x56781234);
	CHECK_EQ(cfg_r(&fx, SLOT, R_COMMAND, 2), 0);
	CHECK_EQ(cfg_r(&fx, SLOT, R_LINE, 1), 0);
	CHECK_EQ(cfg_r(&fx, SLOT, R_BAR(0), 4), 0);
	CHECK_EQ(get_state(), 8);
	CHECK(!fx_level(&fx));
	CHECK(!t->mapped);
}

static void
resets_alone(const char *cls)
{
	unsigned pauses, at;

	setup(cls);
	cfg_w(&fx, SLOT, R_LINE, 1, 0x77);
	cfg_w(&fx, OTHER, R_LINE, 1, 0x78);
	pci_intx(&t->fn, true);
	pauses = t->pauses;
	for (unsigned n = 2; n < 5; n++) {
		if (n == 4)		/* from D3hot too */
			set_state(3);
		ask();
		is_away();
		/* Nothing of it is written any more. */
		cfg_w(&fx, SLOT, R_LINE, 1, 0x55);
		CHECK_EQ(t->resets, n - 1);
		fx_turn(&fx);
		is_new(n);
		CHECK_EQ(t->pauses, pauses + n - 1);
		CHECK(t->active);
		fx_turn(&fx);
		CHECK_EQ(t->resets, n);
		cfg_w(&fx, SLOT, R_COMMAND, 2, PCI_CMD_MEM | PCI_CMD_MASTER);
		CHECK_EQ(t->command, PCI_CMD_MEM | PCI_CMD_MASTER);
	}
	CHECK_EQ(other->resets, 1);
	CHECK_EQ(cfg_r(&fx, OTHER, R_LINE, 1), 0x78);
	/* Whoever asks for none gets none. */
	at = cfg_cap(&fx, SLOT, ID_EXPRESS, 0);
	if (at != 0)
		cfg_w(&fx, SLOT, at + DEVCTL, 2, 0x7fff);
	else
		cfg_w(&fx, SLOT, cap(ID_AF) + AF_CONTROL, 2, 0xfffe);
	fx_turn(&fx);
	CHECK_EQ(t->resets, 4);
	teardown();
}

TEST(resets_alone)
{
	resets_alone("test-power");
	resets_alone("test-power-af");
}

/* A machine's reset takes the place of one that is still to come. */
TEST(reset_of_the_machine)
{
	setup("test-power");
	ask();
	fx_reset(&fx);
	is_new(2);
	fx_turn(&fx);
	CHECK_EQ(t->resets, 2);
	teardown();
}

/* It may come while the machine is paused, or in another machine. */
TEST(reset_waits_for_the_resume)
{
	setup("test-power");
	ask();
	devices_pause(&fx.vmm);
	fx_turn(&fx);
	CHECK_EQ(t->resets, 1);
	is_away();
	devices_resume(&fx.vmm);
	fx_turn(&fx);
	is_new(2);
	teardown();
}

TEST(state_moves)
{
	static struct fx to;
	struct pci_host *h;
	struct device *d;

	for (unsigned off = 0; off < 2; off++) {
		setup("test-power");
		if (off != 0)
			set_state(3);
		else
			ask();
		devices_pause(&fx.vmm);
		fx_damage(&fx);
		fx_open(&to);
		h = px_host(&to);
		d = make(&to, h, "test-power", "t", SLOT);
		(void)make(&to, h, "test-power", "other", OTHER);
		fx_move(&fx, &to);
		teardown();
		fx = to;
		host = h;
		dev = d;
		dev->vmm = &fx.vmm;
		for (struct device *p = dev; p != NULL; p = p->next)
			p->vmm = &fx.vmm;
		t = d->soft;
		devices_resume(&fx.vmm);
		if (off != 0) {
			CHECK_EQ(get_state(), 8 | 3);
			CHECK(!t->mapped && !pci_master(&t->fn));
			set_state(0);
			CHECK(t->mapped && pci_master(&t->fn));
		} else {
			is_away();
			fx_turn(&fx);
			is_new(2);
		}
		teardown();
	}
}

/* A stream that says D1 is refused. */
TEST(state_that_there_is_not)
{
	uint8_t *csr;

	setup("test-power");
	devices_pause(&fx.vmm);
	csr = &t->fn.cfg[cap(ID_POWER) + PMCSR];
	*csr |= 1;
	CHECK_EQ(pci_state_table.check(&t->fn), -1);
	CHECK_HAS(vm_errmsg(), "power state D1");
	*csr |= 3;
	CHECK_EQ(pci_state_table.check(&t->fn), 0);
	teardown();
}

/* What is gone is reset no more. */
TEST(removed_before_its_reset)
{
	setup("test-power");
	ask();
	device_destroy(dev);
	fx_turn(&fx);
	CHECK_EQ(cfg_r(&fx, SLOT, 0, 4), 0xffffffff);
	CHECK_EQ(other->resets, 1);
	teardown();
}

/* The processors that go on meanwhile see it whole: away, or new. */

static void *
look(void *arg)
{
	unsigned resets = 0;
	uint32_t id;

	while (resets < (TEST_SANITIZED ? 100U : 1000U)) {
		id = cfg_r(&fx, SLOT, 0, 4);
		CHECK(id == 0xffffffff || id == 0x56781234);
		if (id != 0xffffffff) {
			cfg_w(&fx, SLOT, R_COMMAND, 2, PCI_CMD_MEM | PCI_CMD_MASTER);
			set_state(resets % 2 * 3);
			ask();
			resets++;
		}
	}
	__atomic_store_n((bool *)arg, true, __ATOMIC_RELEASE);
	return (NULL);
}

TEST(resets_under_access)
{
	bool done = false;
	pthread_t thread;

	setup("test-power");
	CHECK_EQ(pthread_create(&thread, NULL, look, &done), 0);
	while (!__atomic_load_n(&done, __ATOMIC_ACQUIRE))
		CHECK_EQ(event_loop_once(fx.vmm.loop, 1), 0);
	pthread_join(thread, NULL);
	fx_turn(&fx);
	CHECK(t->resets >= 2);
	CHECK(t->active);
	is_new(t->resets);
	CHECK_EQ(other->resets, 1);
	teardown();
}

TEST_MAIN()
