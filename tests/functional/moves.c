/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest that works, with a timer armed and interrupts under way, is saved at many places and goes on elsewhere: on each back end that runs its
 * architecture here in turn, and back.  In the end its sum is right, no interrupt was lost or came twice, its clock never went back, and registers
 * that it did not touch are as they were.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"

#define	MOVES		24U
#define	LINE		5
#define	MSI_SPI		40U
#define	TIMER_NS	300000U
#define	STAYS		100U			/* interrupts of each kind for a guest that goes nowhere: many more where others' code takes them */
#define	STAYS_KVM	2000U

/* A guest, and its device. */
struct guest {
	struct h_vm	*h;
	struct vm_irq	*line, *msi;
};

static bool
exit_suspended(struct h_cpu *cpu, struct vm_exit *exit)
{
	char buf[256];

	CHECKF(exit->code == VM_EXIT_SUSPENDED, "exit %s", h_exit_str(exit, buf, sizeof(buf)));
	return (false);
}

static struct guest
guest_open(const struct h_target *t, const struct h_opts *o)
{
	struct guest g = { .h = h_open(t, "moves", o) };

	g.h->on_exit = exit_suspended;
	if (t->arch == VM_ARCH_ARM64) {
		h_gic_setup(g.h, H_SPI(LINE), false);
		h_gic_setup(g.h, MSI_SPI, false);
		h_gic_setup(g.h, 27, true);
	}
	PTR(g.line = vm_irq_open_line(g.h->ctx, LINE));
	PTR(g.msi = vm_irq_open_msi(g.h->ctx, 0x10));
	if (t->arch == VM_ARCH_ARM64)
		OK(vm_irq_set_msi(g.msi, H_GICD + 0x40, MSI_SPI));	/* GICD_SETSPI_NSR (GICv3 12.9.35) */
	else
		OK(vm_irq_set_msi(g.msi, 0xfee00000, 0x50));		/* APIC 0 (SDM vol. 3 10.11.1) */
	OK(vm_irq_set_mask(g.msi, false));
	return (g);
}

static void
guest_close(struct guest *g)
{
	vm_irq_close(g->line);
	vm_irq_close(g->msi);
	h_close(g->h);
}

/* The architecture's image of floating-point and vector registers, as moves.S loads it; in what it stores only these bytes tell something. */
static size_t
image_fill(const struct h_arch *a, uint8_t *image, size_t *from, size_t *to)
{
	uint32_t mxcsr = 0x9fc0;		/* DAZ, FZ, all masked */

	for (size_t i = 0; i < 512; i++)
		image[i] = (uint8_t)(i * 7 + 3);
	*from = 0;
	*to = 512;
	if (a->arch == VM_ARCH_ARM64)
		return (512);
	/* FXSAVE (SDM vol. 1 table 10-2): ST0 to ST7 in 16 bytes each, of which 10 are theirs, and XMM0 to XMM7. */
	memset(image, 0, 32);
	image[0] = 0x7f;			/* FCW */
	image[1] = 0x0c;			/* truncates */
	image[4] = 0xff;			/* FTW: none is empty */
	memcpy(image + 24, &mxcsr, sizeof(mxcsr));
	for (unsigned i = 0; i < 8; i++)
		memset(image + 32 + 16 * i + 10, 0, 6);
	memset(image + 288, 0, 224);
	*from = 24;
	*to = 288;
	return (512);
}

static void
image_put(struct h_vm *h)
{
	uint8_t image[512];
	size_t from, to, n = image_fill(h->a, image, &from, &to);

	OK(vm_gpa_write(h->ctx, h->a->arena + 0x1000, image, n));
}

static void
image_check(struct h_vm *h)
{
	uint8_t image[512], now[512];
	size_t from, to, n = image_fill(h->a, image, &from, &to);

	OK(vm_gpa_read(h->ctx, h->a->arena + 0x1000 + n, now, n));
	for (size_t i = from; i < to; i++) {
		/* MXCSR_MASK says what the processor has. */
		if (h->a->arch != VM_ARCH_AMD64 || i < 28 || i >= 32)
			CHECKF(now[i] == image[i], "byte %zu of the image is %#x, not %#x", i, now[i], image[i]);
	}
}

/* Make a VM on target `to` that is what the paused one is. */
static struct guest
move(struct guest *g, const struct h_target *to)
{
	const struct h_opts plain = { .moves = true };
	struct guest n = guest_open(to, &plain);
	uint64_t clock = vm_clock_now(g->h->ctx);
	struct vm_state_out *out;
	struct vm_state_in *in;
	const void *data, *s;
	size_t len;
	void *d;

	PTR(out = vm_state_out_open());
	OK(vm_state_save(g->h->ctx, out));
	PTR(data = vm_state_out_data(out, &len));
	PTR(s = vm_map_read(g->h->ctx, g->h->a->ram, H_RAM));
	PTR(d = vm_map_gpa(n.h->ctx, n.h->a->ram, H_RAM));
	memcpy(d, s, H_RAM);
	if (to->arch == VM_ARCH_AMD64)
		h_param(n.h, 15, 0);		/* kvm may have no IRET */
	OK(vm_pause(n.h->ctx));			/* so that time starts when all is there */
	PTR(in = vm_state_in_open(data, len));
	if (vm_state_load(n.h->ctx, in) != 0) {
		CHECKF(to != g->h->t && errno == ENOTSUP, "%s to %s: %s", g->h->t->name, to->name, vm_errmsg());
		SKIP(vm_errmsg());
	}
	OK(vm_state_in_done(in));
	CHECK_EQ(vm_clock_now(n.h->ctx), clock);
	CHECK_EQ(vm_get_counter_freq(n.h->ctx), vm_get_counter_freq(g->h->ctx));
	vm_state_in_close(in);
	vm_state_out_close(out);

	OK(vm_suspend(g->h->ctx, VM_SUSPEND_POWEROFF));
	OK(vm_resume(g->h->ctx));
	h_join(g->h);
	guest_close(g);
	return (n);
}

/* Wait until the guest has taken n of each. */
static void
wait_taken(struct h_vm *h, uint64_t n)
{
	while (h_result(h, 0) < n || h_result(h, 1) < n)
		h_nap();
}

/* A guest that runs. */
static struct guest
guest_begin(const struct h_target *t, const struct h_opts *o, uint64_t timer)
{
	struct guest g = guest_open(t, o);

	if (t->arch == VM_ARCH_AMD64)
		h_param(g.h, 15, 0);
	h_param(g.h, 0, UINT32_MAX);
	h_param(g.h, 1, LINE);
	/* amd64's local APIC counts nanoseconds; all others are the counter. */
	h_param(g.h, 2, t->arch == VM_ARCH_AMD64 && timer == 0 ? TIMER_NS : (uint64_t)((double)o->hz / 1e9 * TIMER_NS));
	h_param(g.h, 3, timer);
	image_put(g.h);
	h_start(g.h);
	h_wait(&g.h->reported, "the guest to run");
	return (g);
}

/* A guest that is neither stopped nor moved takes each interrupt once: else nothing could be said of one that moves. */
static void
stay(const struct h_target *t, const struct h_opts *o, uint64_t timer)
{
	struct guest g = guest_begin(t, o, timer);
	unsigned n = t->accel == VM_ACCEL_KVM ? STAYS_KVM : STAYS;

	for (unsigned i = 0; i < n; i++) {
		OK(vm_irq_pulse(g.line));
		OK(vm_irq_pulse(g.msi));
		while (h_result(g.h, 0) <= i || h_result(g.h, 1) <= i)
			(void)usleep(200);
		CHECKF(h_result(g.h, 0) == i + 1 && h_result(g.h, 1) == i + 1, "%s, and nobody near: interrupt %u was taken twice", t->name, i);
	}
	h_param(g.h, 0, n);
	atomic_store(&g.h->stop, true);
	h_join(g.h);
	CHECK_EQ(h_result(g.h, 0), n);
	CHECK_EQ(h_result(g.h, 1), n);
	guest_close(&g);
}

static void
moves(enum vm_arch arch, uint64_t timer)
{
	const struct h_target *t[H_NTARGETS];
	const char *why = "there is no back end for it", *no;
	struct guest g;
	unsigned n = 0, i;
	struct h_opts o = { .moves = true };

	for (unsigned j = 0; j < H_NTARGETS; j++) {
		if (h_targets[j].arch != arch || !h_usable(&h_targets[j], &why))
			continue;
		/* Nothing can be promised of what is under way in controllers that are none. */
		if (arch == VM_ARCH_AMD64 && (no = h_no_in_service(&h_targets[j])) != NULL)
			printf("# without %s: %s\n", h_targets[j].name, no);
		else
			t[n++] = &h_targets[j];
	}
	if (n == 0)
		SKIP(why);
	h_common(t, n, &o);
	for (i = 0; i < n; i++)
		stay(t[i], &o, timer);
	g = guest_begin(t[0], &o, timer);
	for (i = 0; i < MOVES; i++) {
		wait_taken(g.h, i);
		(void)usleep(i * 397 % 3000);
		OK(vm_pause(g.h->ctx));
		/* Under way while it moves. */
		OK(vm_irq_pulse(g.line));
		OK(vm_irq_pulse(g.msi));
		g = move(&g, t[(i + 1) % n]);
		h_start(g.h);
		OK(vm_resume(g.h->ctx));
	}
	h_param(g.h, 0, MOVES);
	atomic_store(&g.h->stop, true);
	h_join(g.h);
	CHECK_EQ(h_result(g.h, 0), MOVES);
	CHECK_EQ(h_result(g.h, 1), MOVES);
	CHECK(h_result(g.h, 2) > 0);
	CHECK_EQ(h_result(g.h, 2), h_result(g.h, 3));
	CHECK(h_result(g.h, 6) >= 64);
	CHECK_EQ((uint32_t)h_result(g.h, 5), h_work_hash((uint32_t)h_result(g.h, 6)));
	CHECK_EQ(h_result(g.h, 7), 0);
	image_check(g.h);
	guest_close(&g);
}

TEST(soft_kvm_amd64)
{
	moves(VM_ARCH_AMD64, 0);
}

TEST(soft_kvm_amd64_deadline)
{
	moves(VM_ARCH_AMD64, 1);
}

TEST(soft_kvm_arm64)
{
	moves(VM_ARCH_ARM64, 0);
}

TEST_MAIN()
