/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * soft_amd64_sys.c - the modelled amd64 processor as a part of a VM: its models and what CPUID says of
 * them, its clocks, address line 20, and the reset of a VM.
 */
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <vmmapi/state.h>

#include "amd64_fixture.h"

#define	nitems(a)	(sizeof(a) / sizeof((a)[0]))
#define	NSEC		1000000000ULL

struct regs {
	uint32_t a, b, c, d;
};

/* At CODE in 64-bit mode, with the processor as it is if it was there before. */
static void
go(struct mach *m)
{
	if (m->mode != LM64 || (GET(m, EFER) & EFER_LMA) == 0) {
		m_mode(m, LM64, 0);
		return;
	}
	SET(m, RIP, m->ip0);
	SET(m, RSP, STACK0);
}

/* CPUID on m->cpu, in 64-bit mode. */
static struct regs
cpuid(struct mach *m, uint32_t leaf, uint32_t sub)
{
	go(m);
	ASM(m, 64, "cpuid");
	SET(m, RAX, leaf);
	SET(m, RCX, sub);
	m_end(m);
	return ((struct regs){ (uint32_t)GET(m, RAX), (uint32_t)GET(m, RBX), (uint32_t)GET(m, RCX),
	    (uint32_t)GET(m, RDX) });
}

static uint64_t
rdmsr(struct mach *m, uint32_t msr)
{
	go(m);
	ASM(m, 64, "rdmsr; shl $32, %rdx; or %rdx, %rax");
	SET(m, RCX, msr);
	m_end(m);
	return (GET(m, RAX));
}

/* true: it was taken; false: #GP(0) */
static bool
wrmsr(struct mach *m, uint32_t msr, uint64_t val)
{
	go(m);
	ASM(m, 64, "wrmsr");
	SET(m, RCX, msr);
	SET(m, RAX, val & 0xffffffff);
	SET(m, RDX, val >> 32);
	m_run(m);
	if (m_vector(m) < 0)
		return (true);
	CHECK_EQ(m_vector(m), GP);
	return (false);
}

static void
open_spec(struct mach *m, unsigned n, enum vm_clock_source clock, uint64_t seed)
{
	struct vm_spec spec = { .size = sizeof(spec), .accel = VM_ACCEL_SOFT, .clock = clock, .seed = seed };

	m_open_n(m, n, &spec);
}

/* Models */

TEST(models_have_names)
{
	struct mach m;

	open_spec(&m, 1, VM_CLOCK_HOST, 0);
	CHECK_STR(vm_get_cpu_model(m.vm), "v2");
	CHECK_EQ(vm_set_cpu_model(m.vm, "v4"), 0);
	CHECK_EQ(vm_start(m.vm), -1);
	CHECK_EQ(errno, ENOTSUP);
	CHECK_HAS(vm_errmsg(), "soft: it has no processor model v4, which needs AVX");
	CHECK_EQ(vm_set_cpu_model(m.vm, "host"), 0);
	CHECK_EQ(vm_start(m.vm), -1);
	CHECK_EQ(errno, ENOTSUP);
	CHECK_HAS(vm_errmsg(), "soft: it has no processor model host");
	CHECK_EQ(vm_set_cpu_model(m.vm, NULL), 0);
	CHECK_EQ(vm_set_cpu_model(m.vm, "v11"), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_HAS(vm_errmsg(), "did you mean 'v1'?");
	CHECK_STR(vm_get_cpu_model(m.vm), "v2");
	CHECK_EQ(vm_set_cpu_model(m.vm, "v1"), 0);
	CHECK_STR(vm_get_cpu_model(m.vm), "v1");
	CHECK_EQ(vm_set_cpu_model(m.vm, NULL), 0);
	CHECK_STR(vm_get_cpu_model(m.vm), "v2");
	CHECK_EQ(vm_start(m.vm), 0);
	CHECK_EQ(vm_set_cpu_model(m.vm, "v1"), -1);
	CHECK_EQ(errno, EBUSY);
	CHECK(vm_get_cpu_model(NULL) == NULL);
	CHECK_EQ(vm_set_cpu_model(NULL, "v1"), -1);
	m_close(&m);
}

/* What a model does not announce it does not execute. */
TEST(v1_is_the_baseline)
{
	static const struct {
		uint8_t	bytes[8];
		uint8_t	len;
	} later[] = {
		{ { 0xf2, 0x0f, 0x7c, 0xc1 }, 4 },		/* HADDPS */
		{ { 0x66, 0x0f, 0x38, 0x00, 0xc1 }, 5 },	/* PSHUFB */
		{ { 0x66, 0x0f, 0x38, 0x10, 0xc1 }, 5 },	/* PBLENDVB */
		{ { 0xf2, 0x0f, 0x38, 0xf0, 0xc1 }, 5 },	/* CRC32 */
		{ { 0xf3, 0x0f, 0xb8, 0xc1 }, 4 },		/* POPCNT */
		{ { 0x0f, 0x01, 0xf9 }, 3 },			/* RDTSCP */
		{ { 0x0f, 0xc7, 0xf0 }, 3 },			/* RDRAND */
		{ { 0xf3, 0x48, 0x0f, 0xae, 0xc0 }, 5 },	/* RDFSBASE */
		{ { 0x0f, 0x01, 0xca }, 3 },			/* CLAC */
		{ { 0x9f }, 1 },				/* LAHF */
	};
	struct mach m;
	struct regs r;

	open_spec(&m, 1, VM_CLOCK_HOST, 0);
	CHECK_EQ(vm_set_cpu_model(m.vm, "v1"), 0);
	r = cpuid(&m, 1, 0);
	CHECK_EQ(r.a, 0x6fb);
	CHECK_EQ(r.c, 1U << 21 | 1U << 24 | 1U << 31);	/* x2APIC, TSC deadline, hypervisor */
	CHECK_EQ(r.d & 0x07ffbb7d, 0x078bbb7d);		/* all of x86-64-v1, no VME */
	r = cpuid(&m, 0x80000001, 0);
	CHECK_EQ(r.c, 0);
	CHECK_EQ(r.d, 1U << 11 | 1U << 20 | 1U << 29);	/* SYSCALL, NX, long mode */
	CHECK_EQ(cpuid(&m, 7, 0).b & ~(1U << 1 | 1U << 9 | 1U << 13), 0);
	for (size_t i = 0; i < nitems(later); i++) {
		m_mode(&m, LM64, 0);
		SET(&m, CR4, GET(&m, CR4) | CR4_OSFXSR);
		m_bytes(&m, CODE, later[i].bytes, later[i].len);
		m_expect(&m, UD, NOERR);
	}
	/* Its CR4 has no bits of those either. */
	m_mode(&m, LM64, 0);
	ASM(&m, 64, "mov %cr4, %rax; bts $20, %rax; mov %rax, %cr4");
	m_expect(&m, GP, 0);
	m_close(&m);
}

TEST(v2_has_what_it_says)
{
	struct mach m;
	struct regs r;

	open_spec(&m, 1, VM_CLOCK_HOST, 0);
	r = cpuid(&m, 1, 0);
	CHECK_EQ(r.a, 0x206c1);
	/* SSE3 SSSE3 CX16 PCID SSE4.1 SSE4.2 x2APIC MOVBE POPCNT TSC-deadline RDRAND hypervisor; no XSAVE, no AVX */
	CHECK_EQ(r.c & ~(1U << 1 | 1U << 25), 0xc1fa2201U & ~(1U << 25));
	r = cpuid(&m, 7, 0);
	CHECK_EQ(r.b, 1U << 0 | 1U << 1 | 1U << 7 | 1U << 9 | 1U << 10 | 1U << 13 | 1U << 20);
	CHECK_EQ(r.c, 1U << 2);				/* UMIP */
	CHECK_EQ(cpuid(&m, 0x80000001, 0).d, 1U << 11 | 1U << 20 | 1U << 26 | 1U << 27 | 1U << 29);
	CHECK_EQ(cpuid(&m, 0x80000008, 0).a, 0x3029);
	CHECK((cpuid(&m, 0x80000007, 0).d & 1U << 8) != 0);	/* invariant TSC */
	CHECK_EQ(cpuid(&m, 0xd, 0).a, 0);
	/* SYSCALL is Intel's in 64-bit mode only. */
	CHECK_EQ(m_cpuid(&m, 0x80000001, 0, 'd') & 1U << 11, 0);
	/* CPUID limit and XD disable (vol. 4 table 2-2, IA32_MISC_ENABLE). */
	CHECK(wrmsr(&m, 0x1a0, 1 | 1ULL << 22 | 1ULL << 34));
	CHECK_EQ(cpuid(&m, 0, 0).a, 2);
	CHECK_EQ(cpuid(&m, 0x80000001, 0).d & 1U << 20, 0);
	m_close(&m);
}

/* Linux takes no costly measure: enhanced IBRS, and not affected by the rest. */
TEST(no_mitigation_is_needed)
{
	static const char *const names[] = { "v1", "v2" };
	const uint64_t wanted = 1ULL << 0 | 1ULL << 1 | 1ULL << 3 | 1ULL << 4 | 1ULL << 5 | 1ULL << 6 | 1ULL << 8 |
	    1ULL << 13 | 1ULL << 14 | 1ULL << 15 | 1ULL << 20 | 1ULL << 24 | 1ULL << 26 | 1ULL << 27;

	for (size_t i = 0; i < nitems(names); i++) {
		struct mach m;
		struct regs r;

		open_spec(&m, 1, VM_CLOCK_HOST, 0);
		CHECK_EQ(vm_set_cpu_model(m.vm, names[i]), 0);
		r = cpuid(&m, 7, 0);
		CHECK((r.d & 1U << 29) != 0);				/* IA32_ARCH_CAPABILITIES */
		CHECK_EQ(r.d >> 26 & 3, 3);				/* SPEC_CTRL, STIBP */
		CHECK_EQ(rdmsr(&m, 0x10a) & wanted, wanted);
		CHECK(!wrmsr(&m, 0x10a, 0));
		CHECK(wrmsr(&m, 0x48, 1));
		CHECK_EQ(rdmsr(&m, 0x48), 1);
		CHECK(!wrmsr(&m, 0x48, 1ULL << 40));
		CHECK((cpuid(&m, 7, 2).d & 1U << 4) != 0);		/* BHI_DIS_S */
		CHECK(wrmsr(&m, 0x48, 1 | 1ULL << 10));
		CHECK(wrmsr(&m, 0x49, 1));
		CHECK(wrmsr(&m, 0x10b, 1));
		CHECK(!wrmsr(&m, 0x49, 2));
		m_close(&m);
	}
}

TEST(topology)
{
	struct mach m;
	struct regs r;

	open_spec(&m, 4, VM_CLOCK_HOST, 0);
	CHECK_EQ(vm_set_topology(m.vm, 1, 2, 2, 0), 0);
	for (int id = 0; id < 4; id++) {
		m.cpu = vm_vcpu_open(m.vm, id);
		r = cpuid(&m, 1, 0);
		CHECK_EQ(r.b >> 24, (unsigned)id);
		CHECK_EQ(r.b >> 16 & 0xff, 4);
		CHECK((r.d & 1U << 28) != 0);
		r = cpuid(&m, 0xb, 0);
		CHECK_EQ(r.a, 1);
		CHECK_EQ(r.b, 2);
		CHECK_EQ(r.c, 0x100);
		CHECK_EQ(r.d, (unsigned)id);
		r = cpuid(&m, 0xb, 1);
		CHECK_EQ(r.a, 2);
		CHECK_EQ(r.b, 4);
		CHECK_EQ(r.c, 0x201);
		r = cpuid(&m, 0xb, 2);
		CHECK_EQ(r.b, 0);
		CHECK_EQ(r.c, 2);
		/* The first-level cache is a core's, the last one the package's. */
		CHECK_EQ(cpuid(&m, 4, 0).a >> 14 & 0xfff, 1);
		CHECK_EQ(cpuid(&m, 4, 3).a >> 14 & 0xfff, 3);
		CHECK_EQ(cpuid(&m, 4, 4).a, 0);
	}
	m_close(&m);
}

TEST(frequencies)
{
	static const struct {
		uint64_t hz;
		uint32_t num, den;
	} f[] = { { NSEC, 1, 1 }, { 2500000000, 5, 2 }, { 2445407000, 0, 0 } };

	for (size_t i = 0; i < nitems(f); i++) {
		struct mach m;
		struct regs r;

		open_spec(&m, 1, VM_CLOCK_HOST, 0);
		CHECK_EQ(vm_set_counter_freq(m.vm, f[i].hz), 0);
		r = cpuid(&m, 0x15, 0);
		CHECK_EQ(r.a, f[i].den);
		CHECK_EQ(r.b, f[i].num);
		CHECK_EQ(r.c, f[i].num != 0 ? NSEC : 0);
		r = cpuid(&m, 0x40000010, 0);
		CHECK_EQ(r.a, f[i].hz / 1000);
		CHECK_EQ(r.b, 1000000);
		CHECK_EQ(cpuid(&m, 0x16, 0).a, f[i].hz / 1000000);
		r = cpuid(&m, 0x40000000, 0);
		CHECK_EQ(r.a, 0x40000010);
		CHECK_EQ(r.b, 0x4b4d564b);			/* "KVMKVMKVM" */
		CHECK_EQ(cpuid(&m, 0x40000001, 0).a, 1U << 1 | 1U << 3 | 1U << 24);
		m_close(&m);
	}
}

/* Registers */

TEST(memory_types_are_checked)
{
	struct mach m;

	open_spec(&m, 1, VM_CLOCK_HOST, 0);
	CHECK_EQ(rdmsr(&m, 0xfe), 0x508);
	CHECK(!wrmsr(&m, 0xfe, 0));
	CHECK(wrmsr(&m, 0x200, 0xc0000000 | 6));
	CHECK(wrmsr(&m, 0x201, 0x1ffc0000800));
	CHECK_EQ(rdmsr(&m, 0x201), 0x1ffc0000800);
	CHECK(!wrmsr(&m, 0x200, 2));
	CHECK(!wrmsr(&m, 0x200, 1ULL << 41));
	CHECK(!wrmsr(&m, 0x201, 0x400));
	CHECK(wrmsr(&m, 0x2ff, 0xc06));
	CHECK(!wrmsr(&m, 0x2ff, 7));
	CHECK(!wrmsr(&m, 0x2ff, 0x1006));
	CHECK(wrmsr(&m, 0x250, 0x0606060606060606));
	CHECK(!wrmsr(&m, 0x26f, 0x0206060606060606));
	CHECK(wrmsr(&m, 0x277, 0x0007010600070106));
	CHECK(!wrmsr(&m, 0x277, 0x0007010600070102));
	m_close(&m);
}

/* Clocks */

/* What the caller sees of the counter is of the moment when it looks, and of its own value when it has set it. */
TEST(the_counter_is_never_stale)
{
	struct mach m;
	uint64_t a, b;

	open_spec(&m, 1, VM_CLOCK_HOST, 0);
	m_mode(&m, LM64, 0);
	ASM(&m, 64, "rdtsc; shl $32, %rdx; or %rdx, %rax; mov %rax, %rbx; " PROBE
	    "; rdtsc; shl $32, %rdx; or %rdx, %rax; " END "; rdtsc; shl $32, %rdx; or %rdx, %rax");
	m_probe(&m);
	a = GET(&m, TSC);
	CHECK(a >= GET(&m, RBX));
	nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
	b = GET(&m, TSC);
	CHECK(b - a >= 2000000);
	m_end(&m);
	CHECK(GET(&m, RAX) >= b);
	b = GET(&m, TSC);
	/* An instruction that is restarted does not bring old time back. */
	CHECK_EQ(vm_restart_instruction(m.cpu), 0);
	CHECK(GET(&m, TSC) >= b);
	b = GET(&m, TSC);
	m_end(&m);
	CHECK(GET(&m, TSC) >= b);
	/* While the VM is paused the counter stands. */
	CHECK_EQ(vm_pause(m.vm), 0);
	a = GET(&m, TSC);
	nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
	CHECK_EQ(GET(&m, TSC), a);
	/* Set, it goes on from there. */
	SET(&m, TSC, 0x123456789abcdef);
	CHECK_EQ(GET(&m, TSC), 0x123456789abcdef);
	CHECK_EQ(vm_resume(m.vm), 0);
	m_end(&m);
	a = GET(&m, RAX);
	CHECK(a > 0x123456789abcdef && a - 0x123456789abcdef < 600 * NSEC);
	m_close(&m);
}

/* IA32_TSC_ADJUST follows writes to the TSC and the other way round (17.17.3). */
TEST(tsc_adjust)
{
	struct mach m;
	uint64_t before, after;

	open_spec(&m, 1, VM_CLOCK_ICOUNT, 0);
	CHECK_EQ(rdmsr(&m, 0x3b), 0);
	before = rdmsr(&m, 0x10);
	CHECK(wrmsr(&m, 0x3b, 1000000000000));
	after = rdmsr(&m, 0x10);
	CHECK(after - before >= 1000000000000 && after - before < 1000000001000);
	CHECK_EQ(rdmsr(&m, 0x3b), 1000000000000);
	CHECK(wrmsr(&m, 0x10, 5000));
	after = rdmsr(&m, 0x10);
	CHECK(after > 5000 && after < 6000);
	CHECK((int64_t)rdmsr(&m, 0x3b) < 5000);
	m_close(&m);
}

/* A deadline is a value of the TSC: when that is written, the time until then is another. */
TEST(a_deadline_moves_with_the_counter)
{
	struct mach m;

	open_spec(&m, 1, VM_CLOCK_ICOUNT, 0);
	m_mode(&m, LM64, 0);
	/*
	 * x2APIC on, timer in deadline mode with vector 0x40; a deadline in an hour; then the counter jumps to just before
	 * it.
	 */
	ASM(&m, 64,
	    "mov $0x1b, %ecx; rdmsr; or $0xc00, %eax; wrmsr;"
	    "mov $0x80f, %ecx; mov $0x1ff, %eax; xor %edx, %edx; wrmsr;"
	    "mov $0x832, %ecx; mov $0x40040, %eax; wrmsr;"
	    "mov $0x6e0, %ecx; mov $0x400, %edx; xor %eax, %eax; wrmsr;"
	    "mov $0x10, %ecx; mov $0x3ff, %edx; mov $0xfffff000, %eax; wrmsr;"
	    "sti; 1: hlt; jmp 1b");
	m_run(&m);
	CHECK_EQ(m_vector(&m), 0x40);
	CHECK(GET(&m, TSC) >= 0x40000000000);
	CHECK(GET(&m, TSC) < 0x40000000000 + 100000);
	m_close(&m);
}

/* The guest's way to read the clock (pvclock). */
static uint64_t
pvclock(struct mach *m, uint64_t gpa, uint64_t tsc)
{
	uint64_t delta = tsc - m_peek(m, gpa + 8, 8);
	int8_t shift = (int8_t)m_peek(m, gpa + 28, 1);

	CHECK_EQ(m_peek(m, gpa, 4) & 1, 0);
	delta = shift < 0 ? delta >> -shift : delta << shift;
	return (m_peek(m, gpa + 16, 8) + (uint64_t)((unsigned __int128)delta * m_peek(m, gpa + 24, 4) >> 32));
}

/* The factor has 32 bits: it is good for a nanosecond in two seconds. */
#define	CHECK_NEAR(a, b) do {							\
	uint64_t a_ = (a), b_ = (b), d_ = a_ > b_ ? a_ - b_ : b_ - a_;		\
	CHECKF(d_ <= 3 + (b_ >> 31), "%llu and %llu", (unsigned long long)a_, (unsigned long long)b_);	\
} while (0)

TEST(paravirtual_clock)
{
	static const uint64_t hz[] = { NSEC, 2445407000, 700000000, 5000000000 };
	const uint64_t page = DATA + 0x100, wall = DATA + 0x2000;

	for (size_t i = 0; i < nitems(hz); i++) {
		struct mach m;
		struct vm_dirty *d;
		uint64_t bits[MEMSIZE / 4096 / 64], version;

		open_spec(&m, 1, VM_CLOCK_ICOUNT, 0);
		CHECK_EQ(vm_set_counter_freq(m.vm, hz[i]), 0);
		d = vm_dirty_open(m.vm);
		CHECK(d != NULL);
		m_fill(&m, DATA, 0xcc, 4096);
		CHECK_EQ(vm_clock_set(m.vm, 3600 * NSEC), 0);
		m_mode(&m, LM64, 0);
		CHECK_EQ(vm_dirty_fetch(d, 0, MEMSIZE, bits), 0);
		CHECK(!wrmsr(&m, 0x4b564d01, page | 2));
		CHECK(wrmsr(&m, 0x4b564d01, page | 1));
		CHECK_EQ(vm_dirty_fetch(d, 0, MEMSIZE, bits), 0);
		CHECK((bits[page / 4096 / 64] >> (page / 4096 % 64) & 1) != 0);
		CHECK_EQ(rdmsr(&m, 0x4b564d01), page | 1);
		CHECK_EQ(rdmsr(&m, 0x12), page | 1);
		CHECK_EQ(m_peek(&m, page + 29, 1), 1);			/* stable */
		CHECK_NEAR(pvclock(&m, page, GET(&m, TSC)), vm_clock_now(m.vm));
		version = m_peek(&m, page, 4);
		/* A TSC that is written is told of. */
		CHECK(wrmsr(&m, 0x10, 77));
		CHECK_EQ((uint32_t)(m_peek(&m, page, 4) - version), 2);
		CHECK_NEAR(pvclock(&m, page, GET(&m, TSC)), vm_clock_now(m.vm));
		/* One that the caller sets, too, when the vCPU runs again. */
		SET(&m, TSC, 0x7000000000000);
		(void)rdmsr(&m, 0x10);
		CHECK_NEAR(pvclock(&m, page, GET(&m, TSC)), vm_clock_now(m.vm));
		/* Time of day: in virtual time none of the host's. */
		CHECK(wrmsr(&m, 0x4b564d00, wall));
		CHECK_EQ(m_peek(&m, wall + 4, 4), 946684800);
		/* Off: left alone. */
		version = m_peek(&m, page, 4);
		CHECK(wrmsr(&m, 0x4b564d01, page));
		CHECK(wrmsr(&m, 0x10, 1));
		CHECK_EQ(m_peek(&m, page, 4), version);
		/* A page that is no memory is nobody's loss. */
		CHECK(wrmsr(&m, 0x4b564d01, 0xd0000001));
		vm_dirty_close(d);
		m_close(&m);
	}
}

TEST(wall_clock_is_the_host_s)
{
	struct timespec now;
	struct mach m;
	uint64_t sec;

	open_spec(&m, 1, VM_CLOCK_HOST, 0);
	CHECK(wrmsr(&m, 0x4b564d00, DATA));
	sec = m_peek(&m, DATA + 4, 4) + vm_clock_now(m.vm) / NSEC;
	CHECK_EQ(clock_gettime(CLOCK_REALTIME, &now), 0);	/* time(2)'s clock is a tick behind */
	CHECK((uint64_t)now.tv_sec - sec < 600);
	m_close(&m);
}

static struct vm_state_in *
save(struct mach *m, const void **data, size_t *len, struct vm_state_out **out)
{
	struct vm_state_in *in;

	*out = vm_state_out_open();
	CHECK(*out != NULL);
	CHECKF(vm_state_save(m->vm, *out) == 0, "%s", vm_errmsg());
	*data = vm_state_out_data(*out, len);
	CHECK(*data != NULL);
	in = vm_state_in_open(*data, *len);
	CHECK(in != NULL);
	return (in);
}

/* Another VM goes on with the clock, though its page was written before. */
TEST(the_clock_moves_with_the_guest)
{
	const uint64_t page = DATA;
	struct vm_state_out *out;
	struct vm_state_in *in;
	struct mach a, b;
	const void *data;
	size_t len;
	uint64_t was, tsc;

	open_spec(&a, 1, VM_CLOCK_HOST, 0);
	open_spec(&b, 1, VM_CLOCK_HOST, 0);
	CHECK(wrmsr(&a, 0x4b564d01, page | 1));
	CHECK(wrmsr(&a, 0x10, 0x5000000000));
	CHECK(wrmsr(&b, 0x10, 0x1234567));
	in = save(&a, &data, &len, &out);
	was = pvclock(&a, page, GET(&a, TSC));
	for (uint64_t at = 0; at < MEMSIZE; at += 8) {
		if (m_peek(&a, at, 8) != m_peek(&b, at, 8))
			m_poke(&b, at, m_peek(&a, at, 8), 8);
	}
	m_close(&a);
	CHECKF(vm_state_load(b.vm, in) == 0, "%s", vm_errmsg());
	(void)rdmsr(&b, 0x10);
	CHECK_EQ(vm_pause(b.vm), 0);
	tsc = GET(&b, TSC);
	CHECK(tsc > 0x5000000000);
	CHECK_NEAR(pvclock(&b, page, tsc), vm_clock_now(b.vm));
	CHECK(pvclock(&b, page, tsc) + 60 * NSEC > was);
	CHECK_EQ(vm_resume(b.vm), 0);
	vm_state_in_close(in);
	vm_state_out_close(out);
	m_close(&b);
}

/* What the kernel's KVM can be here, and the frequency of its counter. */
static const char *
common_model(uint64_t *hz)
{
	static const char *const models[] = { "baseline", "baseline-v1" };
	struct vm_spec spec = { .size = sizeof(spec), .accel = VM_ACCEL_KVM };
	struct mach m;

	for (size_t i = 0; i < nitems(models); i++) {
		m_open_n(&m, 1, &spec);
		CHECK_EQ(vm_set_cpu_model(m.vm, models[i]), 0);
		if (vm_start(m.vm) == 0) {
			*hz = vm_get_counter_freq(m.vm);
			m_close(&m);
			return (models[i]);
		}
		CHECK_EQ(errno, ENOTSUP);
		m_close(&m);
	}
	FAIL("kvm has no model");
}

/* Nothing tells a guest that it has moved. */
TEST(a_model_is_the_same_on_every_back_end)
{
	static const uint32_t leaves[] = { 0, 1, 2, 4, 6, 7, 0xb, 0x15, 0x16, 0x40000000, 0x40000001, 0x40000010, 0x80000000, 0x80000001, 0x80000002,
	    0x80000003, 0x80000004, 0x80000006, 0x80000007, 0x80000008 };
	struct vm_spec kvm = { .size = sizeof(kvm), .accel = VM_ACCEL_KVM }, soft = { .size = sizeof(soft), .accel = VM_ACCEL_SOFT };
	const char *model;
	struct mach k, s;
	struct regs a, b;
	uint64_t hz = 0;

	if (vm_accel_probe(VM_ACCEL_KVM, VM_ARCH_AMD64) != 0)
		SKIP(vm_errmsg());
	model = common_model(&hz);
	m_open_n(&k, 1, &kvm);
	m_open_n(&s, 1, &soft);
	CHECK_EQ(vm_set_cpu_model(k.vm, model), 0);
	CHECK_EQ(vm_set_cpu_model(s.vm, model), 0);
	CHECK_EQ(vm_set_counter_freq(s.vm, hz), 0);
	for (size_t i = 0; i < nitems(leaves); i++) {
		for (uint32_t sub = 0; sub < 3; sub++) {
			a = cpuid(&k, leaves[i], sub);
			b = cpuid(&s, leaves[i], sub);
			if (leaves[i] == 1 && (a.c & 1) != 0 && (b.c & 1) == 0)
				SKIP("this kernel shows guests features of the host that it was not told to");
			CHECKF(memcmp(&a, &b, sizeof(a)) == 0, "leaf %x.%u: %08jx %08jx %08jx %08jx on kvm, %08jx %08jx %08jx %08jx on soft", leaves[i], sub,
			    (uintmax_t)a.a, (uintmax_t)a.b, (uintmax_t)a.c, (uintmax_t)a.d, (uintmax_t)b.a, (uintmax_t)b.b, (uintmax_t)b.c, (uintmax_t)b.d);
		}
	}
	m_close(&k);
	m_close(&s);
}

/* A baseline says nothing of speculation, and has none of its registers. */
TEST(a_baseline_tells_nothing_of_speculation)
{
	struct mach m;

	open_spec(&m, 1, VM_CLOCK_HOST, 0);
	CHECK_EQ(vm_set_cpu_model(m.vm, "baseline"), 0);
	CHECK_EQ(cpuid(&m, 7, 0).d, 1U << 4);
	CHECK_EQ(cpuid(&m, 7, 2).d, 0);
	CHECK_EQ(cpuid(&m, 1, 0).c >> 17 & 1, 0);		/* PCID, which not every host has */
	CHECK_EQ(cpuid(&m, 1, 0).c >> 25 & 1, 1);		/* AES, which every one has */
	for (size_t i = 0; i < 4; i++) {
		static const uint32_t gone[] = { 0x48, 0x49, 0x10a, 0x10b };

		CHECK(!wrmsr(&m, gone[i], 0));
	}
	m_close(&m);
}

/* A guest's clock goes on from soft to kvm and back. */
TEST(the_clock_moves_between_back_ends)
{
	static const enum vm_accel accels[] = { VM_ACCEL_SOFT, VM_ACCEL_KVM, VM_ACCEL_SOFT };
	const uint64_t page = DATA;
	uint64_t was = 0, now, hz;
	const char *model;
	struct mach m = { 0 };

	if (vm_accel_probe(VM_ACCEL_KVM, VM_ARCH_AMD64) != 0)
		SKIP(vm_errmsg());
	model = common_model(&hz);
	for (size_t i = 0; i < nitems(accels); i++) {
		struct vm_spec spec = { .size = sizeof(spec), .accel = accels[i] };
		struct vm_state_out *out;
		struct vm_state_in *in;
		const void *data;
		struct mach n;
		size_t len;

		m_open_n(&n, 1, &spec);
		if (i == 0) {
			CHECK_EQ(vm_set_cpu_model(n.vm, model), 0);
			CHECK_EQ(vm_set_counter_freq(n.vm, hz), 0);
		}
		if (i > 0) {
			in = save(&m, &data, &len, &out);
			for (uint64_t at = 0; at < MEMSIZE; at += 8)
				m_poke(&n, at, m_peek(&m, at, 8), 8);
			m_close(&m);
			CHECKF(vm_state_load(n.vm, in) == 0, "%s", vm_errmsg());
			vm_state_in_close(in);
			vm_state_out_close(out);
			n.mode = LM64;
			n.ip0 = m.ip0;
		}
		m = n;
		if (i == 0)
			CHECK(wrmsr(&m, 0x4b564d01, page | 1));
		CHECK_EQ(rdmsr(&m, 0x4b564d01), page | 1);
		/* The guest's own view: its counter, its page. */
		go(&m);
		ASM(&m, 64, "rdtsc; shl $32, %rdx; or %rdx, %rax");
		m_end(&m);
		now = pvclock(&m, page, GET(&m, RAX));
		CHECKF(now + 1000000 >= was && now - was < 600 * NSEC, "%llu after %llu", (unsigned long long)now,
		    (unsigned long long)was);
		was = now;
	}
	m_close(&m);
}

/* Random numbers in virtual time come from the seed. */
TEST(random_numbers)
{
	uint64_t first[3];

	for (int i = 0; i < 3; i++) {
		struct mach m;

		open_spec(&m, 1, VM_CLOCK_ICOUNT, i < 2 ? 5 : 6);
		m_mode(&m, LM64, 0);
		ASM(&m, 64, "rdrand %rax; setc %cl; rdrand %rbx; rdrand %si");
		SET(&m, RSI, 0x1234567800000000);
		m_end(&m);
		first[i] = GET(&m, RAX);
		CHECK_EQ(GET(&m, RCX) & 0xff, 1);
		CHECK(GET(&m, RBX) != first[i]);
		CHECK_EQ(GET(&m, RSI) >> 16, 0x123456780000);
		m_close(&m);
	}
	CHECK_EQ(first[0], first[1]);
	CHECK(first[0] != first[2]);
}

/* The machine */

TEST(address_line_20)
{
	struct vm_state_out *out;
	struct vm_state_in *in;
	struct mach m, n;
	const void *data;
	size_t len;
	bool on;

	open_spec(&m, 1, VM_CLOCK_HOST, 0);
	CHECK_EQ(vm_amd64_get_a20(m.vm, &on), 0);
	CHECK(on);
	m_poke(&m, DATA, 0x1111, 2);
	m_poke(&m, DATA + 0x100000, 0x2222, 2);
	m_mode(&m, PM32, 0);
	ASM(&m, 32, "mov (0x140000), %ax; " PROBE "; mov (0x140000), %bx; movw $0x3333, (0x140002); " PROBE
	    "; mov (0x140000), %cx");
	m_probe(&m);
	CHECK_EQ(GET(&m, RAX) & 0xffff, 0x2222);
	CHECK_EQ(vm_amd64_set_a20(m.vm, false), 0);
	CHECK_EQ(vm_amd64_get_a20(m.vm, &on), 0);
	CHECK(!on);
	m_probe(&m);
	CHECK_EQ(GET(&m, RBX) & 0xffff, 0x1111);
	CHECK_EQ(m_peek(&m, DATA + 2, 2), 0x3333);
	CHECK_EQ(m_peek(&m, DATA + 0x100002, 2), 0);
	/* It is part of the VM's state. */
	in = save(&m, &data, &len, &out);
	open_spec(&n, 1, VM_CLOCK_HOST, 0);
	CHECKF(vm_state_load(n.vm, in) == 0, "%s", vm_errmsg());
	CHECK_EQ(vm_amd64_get_a20(n.vm, &on), 0);
	CHECK(!on);
	vm_state_in_close(in);
	vm_state_out_close(out);
	m_close(&n);
	CHECK_EQ(vm_amd64_set_a20(m.vm, true), 0);
	m_end(&m);
	CHECK_EQ(GET(&m, RCX) & 0xffff, 0x2222);
	CHECK_EQ(vm_amd64_set_a20(NULL, true), -1);
	m_close(&m);
}

static void
port_92(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	CHECKF(vm_amd64_set_a20(arg, (val & 2) != 0) == 0, "%s", vm_errmsg());
}

/* The gate's write handler holds the line while its processor, and others, run; the next instruction sees it. */
TEST(address_line_20_by_the_gate)
{
	struct vm_range_spec rs = { .name = "port 92h", .space = VM_SPACE_IO, .base = 0x92, .len = 1,
	    .write = port_92 };
	struct vm_range *range;
	struct mach m;

	open_spec(&m, 1, VM_CLOCK_HOST, 0);
	rs.arg = m.vm;
	range = vm_range_add(m.vm, &rs);
	CHECK(range != NULL);
	m_poke(&m, DATA, 0x1111, 2);
	m_poke(&m, DATA + 0x100000, 0x2222, 2);
	m_mode(&m, LM64, 0);
	ASM(&m, 64, "mov 0x140000, %si; mov $0, %al; out %al, $0x92; mov 0x140000, %di;"
	    "mov $2, %al; out %al, $0x92; mov 0x140000, %bx");
	m_end(&m);
	CHECK_EQ(GET(&m, RSI) & 0xffff, 0x2222);
	CHECK_EQ(GET(&m, RDI) & 0xffff, 0x1111);
	CHECK_EQ(GET(&m, RBX) & 0xffff, 0x2222);
	vm_range_remove(range);
	m_close(&m);
}

TEST(a_model_is_part_of_the_state)
{
	struct vm_state_out *out;
	struct vm_state_in *in;
	struct mach a, b, c, d;
	const void *data;
	size_t len;

	open_spec(&a, 1, VM_CLOCK_HOST, 0);
	CHECK_EQ(vm_set_cpu_model(a.vm, "v1"), 0);
	(void)rdmsr(&a, 0x10);
	in = save(&a, &data, &len, &out);
	/* A VM that has not started becomes the same, one that has is another. */
	open_spec(&b, 1, VM_CLOCK_HOST, 0);
	CHECKF(vm_state_load(b.vm, in) == 0, "%s", vm_errmsg());
	CHECK_STR(vm_get_cpu_model(b.vm), "v1");
	vm_state_in_close(in);
	in = vm_state_in_open(data, len);
	open_spec(&c, 1, VM_CLOCK_HOST, 0);
	(void)rdmsr(&c, 0x10);
	CHECK_EQ(vm_state_load(c.vm, in), -1);
	CHECK_EQ(errno, EILSEQ);
	CHECK_HAS(vm_errmsg(), "processor model v1");
	vm_state_in_close(in);
	in = vm_state_in_open(data, len);
	open_spec(&d, 1, VM_CLOCK_HOST, 0);
	CHECK_EQ(vm_set_cpu_model(d.vm, "v2"), 0);
	CHECK_EQ(vm_state_load(d.vm, in), -1);
	CHECK_EQ(errno, EILSEQ);
	vm_state_in_close(in);
	vm_state_out_close(out);
	m_close(&a);
	m_close(&b);
	m_close(&c);
	m_close(&d);
}

/* Who fills a named VM may choose its model, and who runs it finds it. */
TEST(a_named_vm_keeps_its_model)
{
	char dir[] = "/tmp/hyve-sys.XXXXXX";
	struct vmctx *vm;

	CHECK(mkdtemp(dir) != NULL);
	setenv("HYVE_RUNDIR", dir, 1);
	CHECKF(vm_create("named") == 0, "%s", vm_errmsg());
	vm = vm_open("named");
	CHECKF(vm != NULL, "%s", vm_errmsg());
	CHECK_STR(vm_get_cpu_model(vm), "v2");
	CHECK_EQ(vm_set_cpu_model(vm, "v1"), 0);
	vm_close(vm);
	vm = vm_open("named");
	CHECKF(vm != NULL, "%s", vm_errmsg());
	CHECK_STR(vm_get_cpu_model(vm), "v1");
	CHECK_EQ(vm_reinit(vm), 0);
	CHECK_STR(vm_get_cpu_model(vm), "v2");
	vm_destroy(vm);
	CHECK_EQ(rmdir(dir), 0);
}

/* vm_reset(): as the machine's reset button. */
TEST(reset)
{
	struct mach m;
	struct vcpu *ap;
	uint64_t tsc[2], v;
	bool on;

	open_spec(&m, 2, VM_CLOCK_HOST, 0);
	ap = vm_vcpu_open(m.vm, 1);
	m.cpu = vm_vcpu_open(m.vm, 0);
	CHECK_EQ(vm_amd64_set_a20(m.vm, false), 0);
	m_poke(&m, DATA, 0xfeed, 4);
	CHECK(wrmsr(&m, 0x277, 0x0606060606060606));
	CHECK(wrmsr(&m, 0x1b, 0xfee00d00));		/* x2APIC mode */
	CHECK(wrmsr(&m, 0x808, 0x50));			/* task priority */
	CHECK(wrmsr(&m, 0x10, 0x123456789abcd));
	CHECK_EQ(GET(&m, CR8), 5);
	/* In the middle of an instruction that waits for its answer. */
	m_mode(&m, LM64, 0);
	ASM(&m, 64, "in $0x77, %al");
	m_run(&m);
	CHECK_EQ(m.ex.code, VM_EXIT_IO);
	CHECK_EQ(vm_suspend(m.vm, VM_SUSPEND_RESET), 0);
	CHECKF(vm_reset(m.vm) == 0, "%s", vm_errmsg());

	CHECK_EQ(GET(&m, RIP), 0xfff0);
	CHECK_EQ(m_seg_base(&m, VM_AMD64_REG_CS), 0xffff0000);
	CHECK_EQ(GET(&m, RDX), 0x206c1);
	CHECK_EQ(GET(&m, CR0), 0x60000010);
	CHECK_EQ(GET(&m, EFER), 0);
	CHECK_EQ(GET(&m, PAT), 0x0007040600070406);
	CHECK_EQ(GET(&m, APIC_BASE), 0xfee00900);
	CHECK_EQ(GET(&m, CR8), 0);
	CHECK_EQ(GET(&m, RUN_STATE), VM_AMD64_RUNNING);
	CHECK_EQ(vm_get_register(ap, VM_AMD64_REG_RUN_STATE, &v), 0);
	CHECK_EQ(v, VM_AMD64_WAIT_SIPI);
	CHECK_EQ(vm_amd64_get_a20(m.vm, &on), 0);
	CHECK(on);
	CHECK_EQ(m_peek(&m, DATA, 4), 0xfeed);		/* memory is kept */
	CHECK_EQ(vm_exit_reply(m.cpu, 0), -1);
	/* The counters start together. */
	CHECK_EQ(vm_pause(m.vm), 0);
	tsc[0] = GET(&m, TSC);
	CHECK_EQ(vm_get_register(ap, VM_AMD64_REG_TSC, &tsc[1]), 0);
	CHECK_EQ(tsc[0], tsc[1]);
	CHECK(tsc[0] < 600 * NSEC);
	CHECK_EQ(vm_resume(m.vm), 0);
	/* It runs. */
	CHECK_EQ(rdmsr(&m, 0x1b), 0xfee00900);
	/* Nothing of it needs a VM that has started. */
	m_close(&m);
	open_spec(&m, 1, VM_CLOCK_HOST, 0);
	SET(&m, RAX, 5);
	CHECK_EQ(vm_reset(m.vm), 0);
	CHECK_EQ(GET(&m, RAX), 0);
	CHECK_EQ(vm_reset(NULL), -1);
	m_close(&m);
}

/* kvm: its own controllers are reset, and what it cannot do has a sentence. */
TEST(kvm)
{
	struct vm_spec spec = { .size = sizeof(spec), .accel = VM_ACCEL_KVM };
	struct mach m;

	if (vm_accel_probe(VM_ACCEL_KVM, VM_ARCH_AMD64) != 0)
		SKIP(vm_errmsg());
	m_open_n(&m, 1, &spec);
	/* A host either has all of a model, or it is told what is missing. */
	CHECK_EQ(vm_set_cpu_model(m.vm, "baseline"), 0);
	if (vm_start(m.vm) != 0) {
		CHECK_EQ(errno, ENOTSUP);
		CHECK_HAS(vm_errmsg(), "processor model baseline needs ");
		CHECK_HAS(vm_errmsg(), ", which this host does not have");
		CHECK_EQ(vm_set_cpu_model(m.vm, NULL), 0);
		CHECKF(vm_start(m.vm) == 0, "%s", vm_errmsg());
		CHECK_STR(vm_get_cpu_model(m.vm), "host");
	}
	CHECK_EQ(vm_amd64_set_a20(m.vm, true), 0);
	CHECK_EQ(vm_amd64_set_a20(m.vm, false), -1);
	CHECK_EQ(errno, ENOTSUP);
	m_mode(&m, PM32, 0);
	/* The task priority, and masks of both chips. */
	ASM(&m, 32, "movl $0x50, (0xfee00080); mov $0x12, %al; out %al, $0x21; movl $0x10, (0xfec00000);"
	    "movl $0x31, (0xfec00010)");
	m_end(&m);
	CHECKF(vm_reset(m.vm) == 0, "%s", vm_errmsg());
	CHECK_EQ(GET(&m, RIP), 0xfff0);
	CHECK_EQ(GET(&m, CR8), 0);
	m_mode(&m, PM32, 0);
	ASM(&m, 32, "mov (0xfee00080), %esi; movl $0x10, (0xfec00000); mov (0xfec00010), %edi");
	m_end(&m);
	CHECK_EQ(GET(&m, RSI), 0);
	CHECK_EQ(GET(&m, RDI), 0x10000);
	m_close(&m);
}

TEST_MAIN()
