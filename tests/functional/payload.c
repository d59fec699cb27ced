/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * payload.c - what a guest sees of libvmmapi: each payload on each architecture and back end, by the same test code.
 */
#include <sys/eventfd.h>

#include <inttypes.h>

#include "harness.h"

/* SECTION: exits and ranges */

struct access {
	enum vm_space	space;
	uint64_t	addr;
	unsigned	size;
	bool		write;
	uint64_t	val;		/* written, or to be read */
};

/* What exits.S does. */
static const struct access amd64_accesses[] = {
	{ VM_SPACE_IO, 0x510, 1, true, 0x44 },
	{ VM_SPACE_IO, 0x510, 2, true, 0x3344 },
	{ VM_SPACE_IO, 0x510, 4, true, 0x11223344 },
	{ VM_SPACE_IO, 0x510, 1, false, 0xa1 },
	{ VM_SPACE_IO, 0x510, 2, false, 0xb2c3 },
	{ VM_SPACE_IO, 0x510, 4, false, 0xd4e5f607 },
	{ VM_SPACE_MEM, 0xc0000000, 1, true, 0x5a },
	{ VM_SPACE_MEM, 0xc0000002, 2, true, 0x1234 },
	{ VM_SPACE_MEM, 0xc0000004, 4, true, 0xdeadbeef },
	{ VM_SPACE_MEM, 0xc0000008, 1, false, 0x18 },
	{ VM_SPACE_MEM, 0xc000000a, 2, false, 0x2938 },
	{ VM_SPACE_MEM, 0xc000000c, 4, false, 0x4a5b6c7d },
	{ .size = 0 }
};

static const struct access arm64_accesses[] = {
	{ VM_SPACE_MEM, 0x09fe0000, 1, true, 0x44 },
	{ VM_SPACE_MEM, 0x09fe0002, 2, true, 0x3344 },
	{ VM_SPACE_MEM, 0x09fe0004, 4, true, 0x11223344 },
	{ VM_SPACE_MEM, 0x09fe0008, 8, true, 0xff01ddee99aabbcc },
	{ VM_SPACE_MEM, 0x09fe0010, 1, false, 0x18 },
	{ VM_SPACE_MEM, 0x09fe0012, 2, false, 0x2938 },
	{ VM_SPACE_MEM, 0x09fe0014, 4, false, 0x4a5b6c7d },
	{ VM_SPACE_MEM, 0x09fe0018, 8, false, 0x8e9fa0b1c2d3e4f5 },
	{ .size = 0 }
};

struct accesses {
	const struct access *list;
	unsigned	 next;
	bool		 restart;	/* execute each one twice */
	bool		 again;		/* it is the second time */
	bool		 refused;	/* a restart was ENOTSUP */
	struct vcpu	*vcpu;		/* expected by handlers */
	uint64_t	 base[2];	/* handlers' range, by space */
};

static void
accesses_init(struct accesses *s, struct h_vm *h)
{
	memset(s, 0, sizeof(*s));
	s->list = h->a->arch == VM_ARCH_AMD64 ? amd64_accesses : arm64_accesses;
	s->vcpu = h->cpu[0].vcpu;
	h->arg = s;
}

static const struct access *
next_access(struct accesses *s, enum vm_space space, uint64_t addr, unsigned size, bool write)
{
	const struct access *a = &s->list[s->next];

	CHECKF(a->size != 0, "access 0x%llx after the last one", (unsigned long long)addr);
	CHECKF(a->space == space && a->addr == addr && a->size == size && a->write == write,
	    "access %u: %s 0x%llx size %u, expected %s 0x%llx size %u", s->next, write ? "write" : "read",
	    (unsigned long long)addr, size, a->write ? "write" : "read", (unsigned long long)a->addr, a->size);
	return (a);
}

/* The values that were read arrived in the guest, as the payload stored them. */
static void
check_reads(struct h_vm *h, const struct accesses *s)
{
	unsigned n = 0;

	CHECKF(s->list[s->next].size == 0, "only %u accesses", s->next);
	for (const struct access *a = s->list; a->size != 0; a++) {
		if (!a->write)
			CHECK_EQ(h_result(h, n++), a->val);
	}
}

static bool
exit_access(struct h_cpu *cpu, struct vm_exit *exit)
{
	struct accesses *s = cpu->h->arg;
	const struct access *a;
	uint64_t data;
	bool write;
	char buf[256];

	if (exit->code == VM_EXIT_IO) {
		write = exit->u.io.write;
		data = exit->u.io.data;
		a = next_access(s, VM_SPACE_IO, exit->u.io.port, exit->u.io.size, write);
	} else {
		CHECKF(exit->code == VM_EXIT_MMIO, "exit %s", h_exit_str(exit, buf, sizeof(buf)));
		write = exit->u.mmio.write;
		data = exit->u.mmio.data;
		a = next_access(s, VM_SPACE_MEM, exit->u.mmio.gpa, exit->u.mmio.size, write);
	}
	if (write)
		CHECK_EQ(data, a->val);
	CHECK(exit->pc >= cpu->h->a->load && exit->pc < cpu->h->a->load + 0x1000);
	if (s->restart && !s->again) {
		if (vm_restart_instruction(cpu->vcpu) == 0) {
			s->again = true;
			return (true);
		}
		CHECK_EQ(errno, ENOTSUP);
		CHECK(vm_errmsg()[0] != '\0');
		CHECK(cpu->h->t->accel == VM_ACCEL_KVM);	/* soft restarts everything */
		s->refused = true;
	}
	s->again = false;
	if (!write)
		OK(vm_exit_reply(cpu->vcpu, a->val));
	else {
		CHECK_EQ(vm_exit_reply(cpu->vcpu, 1), -1);	/* no read is open */
		CHECK_EQ(errno, EINVAL);
	}
	s->next++;
	return (true);
}

H_TEST(exits, H_ALL)
{
	struct h_vm *h = h_open(t, "exits", NULL);
	struct accesses s;

	accesses_init(&s, h);
	h->on_exit = exit_access;
	CHECK(h_run(&h->cpu[0]));
	check_reads(h, &s);
	CHECK_STR(vm_accel_name(h->ctx), t->accel == VM_ACCEL_KVM ? "kvm" : "soft");
	h_close(h);
}

static bool
exit_ignore(struct h_cpu *cpu, struct vm_exit *exit)
{
	return (true);
}

/* A read that nobody answers reads all ones. */
H_TEST(exits_unanswered, H_ALL)
{
	struct h_vm *h = h_open(t, "exits", NULL);
	const struct access *a = t->arch == VM_ARCH_AMD64 ? amd64_accesses : arm64_accesses;
	unsigned n = 0;

	h->on_exit = exit_ignore;
	CHECK(h_run(&h->cpu[0]));
	for (; a->size != 0; a++) {
		if (!a->write)
			CHECK_EQ(h_result(h, n++), a->size == 8 ? UINT64_MAX : (1ULL << 8 * a->size) - 1);
	}
	h_close(h);
}

H_TEST(restart, H_ALL)
{
	struct h_vm *h = h_open(t, "exits", NULL);
	struct accesses s;

	CHECK_EQ(vm_restart_instruction(h->cpu[0].vcpu), -1);
	CHECK_EQ(errno, EINVAL);	/* there was no exit */
	accesses_init(&s, h);
	s.restart = true;
	h->on_exit = exit_access;
	CHECK(h_run(&h->cpu[0]));
	check_reads(h, &s);
	h_close(h);
}

static uint64_t
range_read(struct accesses *s, enum vm_space space, struct vcpu *vcpu, uint64_t off, unsigned size)
{
	const struct access *a = next_access(s, space, s->base[space] + off, size, false);

	CHECK(vcpu == s->vcpu);
	s->next++;
	return (a->val);
}

static void
range_write(struct accesses *s, enum vm_space space, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	const struct access *a = next_access(s, space, s->base[space] + off, size, true);

	CHECK(vcpu == s->vcpu);
	CHECK_EQ(val, a->val);
	s->next++;
}

static uint64_t
mem_read(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size)
{
	return (range_read(arg, VM_SPACE_MEM, vcpu, off, size));
}

static void
mem_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	range_write(arg, VM_SPACE_MEM, vcpu, off, size, val);
}

static uint64_t
io_read(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size)
{
	return (range_read(arg, VM_SPACE_IO, vcpu, off, size));
}

static void
io_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	range_write(arg, VM_SPACE_IO, vcpu, off, size, val);
}

/* The same accesses as calls: nothing leaves vm_run(). */
H_TEST(ranges, H_ALL)
{
	struct h_vm *h = h_open(t, "exits", NULL);
	struct vm_range *r[2];
	struct accesses s;
	uint64_t val;

	accesses_init(&s, h);
	for (unsigned i = 0; i < h->a->nprobe; i++) {
		bool io = h->a->probe[i].space == VM_SPACE_IO;
		struct vm_range_spec spec = {
			.name = "probe", .space = h->a->probe[i].space, .base = h->a->probe[i].addr, .len = 0x20,
			.read = io ? io_read : mem_read, .write = io ? io_write : mem_write, .arg = &s,
		};

		s.base[spec.space] = spec.base;
		PTR(r[i] = vm_range_add(h->ctx, &spec));
		/* Another of the same priority in the middle of it is refused, one of a lower priority is not seen. */
		spec.base += 4;
		spec.len = 4;
		CHECK(vm_range_add(h->ctx, &spec) == NULL);
		CHECK_EQ(errno, EEXIST);
		spec.priority = -1;
		spec.read = NULL;
		spec.write = NULL;
		PTR(vm_range_add(h->ctx, &spec));
	}
	CHECK(h_run(&h->cpu[0]));
	CHECK_EQ(h->cpu[0].nexits, 0);
	check_reads(h, &s);

	/* A device's or debugger's access reaches the same handler, from no vCPU. */
	s.next = 0;
	s.vcpu = NULL;
	for (const struct access *a = s.list; a->size != 0; a++) {
		val = a->write ? a->val : 0;
		OK(vm_access(h->ctx, a->space, a->addr, a->size, a->write, &val));
		CHECK_EQ(val, a->val);
	}

	/* Given up, the addresses are nobody's again (the lower one has no read handler: all ones). */
	for (unsigned i = 0; i < h->a->nprobe; i++)
		vm_range_remove(r[i]);
	OK(vm_range_sync(h->ctx));
	val = 0;
	CHECK_EQ(vm_access(h->ctx, h->a->probe[0].space, h->a->probe[0].addr, 4, false, &val), -1);
	CHECK_EQ(errno, EFAULT);
	CHECK_EQ(val & 0xffffffff, 0xffffffff);
	val = 0;
	OK(vm_access(h->ctx, h->a->probe[0].space, h->a->probe[0].addr + 4, 4, false, &val));
	CHECK_EQ(val, 0xffffffff);
	h_close(h);
}

struct rom {
	uint64_t	gpa;
	unsigned	writes;
};

static void
rom_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	struct rom *rom = arg;

	CHECK_EQ(off, 0x10);
	CHECK_EQ(size, 4);
	CHECK_EQ(val, 0x600d);
	rom->writes++;
}

/* Read-only memory reads as it is, and its writes go to the range claimed there. */
H_TEST(rom, H_ALL)
{
	struct h_vm *h = h_open(t, "rom", NULL);
	struct rom rom = { .gpa = t->arch == VM_ARCH_AMD64 ? 0xffff0000 : 0x04000000 };
	struct vm_range_spec spec = {
		.name = "flash", .space = VM_SPACE_MEM, .base = rom.gpa, .len = 0x10000, .write = rom_write, .arg = &rom,
	};
	uint32_t *host;

	host = vm_create_devmem(h->ctx, VM_BOOTROM, "bootrom", 0x10000);
	CHECKF(host != MAP_FAILED, "%s", vm_errmsg());
	host[4] = 0xcafef00d;
	OK(vm_mmap_memseg(h->ctx, rom.gpa, VM_BOOTROM, 0, 0x10000, VM_PROT_READ | VM_PROT_EXEC));
	PTR(vm_range_add(h->ctx, &spec));
	h_param(h, 0, rom.gpa + 0x10);
	CHECK(h_run(&h->cpu[0]));
	CHECK_EQ(h_result(h, 0), 0xcafef00d);
	CHECK_EQ(h_result(h, 1), 0xcafef00d);
	CHECK_EQ(rom.writes, 1);
	CHECK_EQ(host[4], 0xcafef00d);

	/* Made writable, it is memory. */
	OK(vm_mprotect_memseg(h->ctx, rom.gpa, 0x10000, VM_PROT_ALL));
	h_entry(&h->cpu[0]);
	CHECK(h_run(&h->cpu[0]));
	CHECK_EQ(h_result(h, 1), 0x600d);
	CHECK_EQ(rom.writes, 1);
	CHECK_EQ(host[4], 0x600d);

	/* Unmapped, the range has all of it: no read handler, all ones. */
	OK(vm_munmap_memseg(h->ctx, rom.gpa, 0x10000));
	h_entry(&h->cpu[0]);
	CHECK(h_run(&h->cpu[0]));
	CHECK_EQ(h_result(h, 0), 0xffffffff);
	CHECK_EQ(rom.writes, 2);
	CHECK_EQ(host[4], 0x600d);
	h_close(h);
}

/* SECTION: registers */

H_TEST(regs, H_ALL)
{
	struct h_vm *h = h_open(t, "regs", NULL);
	struct h_cpu *cpu = &h->cpu[0];
	uint64_t add, want, base;

	for (unsigned i = 0; h->a->gpr[i] >= 0; i++) {
		base = t->arch == VM_ARCH_AMD64 ? 0x10203040 * (i + 1) & 0x7fffffff : 0x1122334455667788ULL * (i + 1);
		h_set(cpu, h->a->gpr[i], base);
		CHECK_EQ(h_get(cpu, h->a->gpr[i]), base);
	}
	CHECK(h_run(cpu));
	for (unsigned i = 0; h->a->gpr[i] >= 0; i++) {
		if (t->arch == VM_ARCH_AMD64) {
			add = 0x01010101 * (i + 1);
			want = (uint32_t)((0x10203040 * (i + 1) & 0x7fffffff) + add);
		} else {
			add = (uint64_t)(h->a->gpr[i] - VM_ARM64_REG_X0) + 1;
			want = 0x1122334455667788ULL * (i + 1) + add;
		}
		CHECKF(h_get(cpu, h->a->gpr[i]) == want, "register %s is 0x%llx, not 0x%llx",
		    vm_register_name(h->ctx, h->a->gpr[i], NULL), (unsigned long long)h_get(cpu, h->a->gpr[i]),
		    (unsigned long long)want);
	}
	h_close(h);
}

/*
 * Every register that holds any value keeps one, before the VM runs and after the back end had it: the guest executes a few
 * instructions in between.
 */
H_TEST(regs_kept, H_ALL)
{
	static const int amd64[] = {
		VM_AMD64_REG_CR2, VM_AMD64_REG_DR0, VM_AMD64_REG_DR1, VM_AMD64_REG_DR2, VM_AMD64_REG_DR3,
		VM_AMD64_REG_R8, VM_AMD64_REG_R15, VM_AMD64_REG_FS_BASE, VM_AMD64_REG_GS_BASE, VM_AMD64_REG_KGS_BASE,
		VM_AMD64_REG_STAR, VM_AMD64_REG_LSTAR, VM_AMD64_REG_CSTAR, VM_AMD64_REG_SFMASK,
		VM_AMD64_REG_SYSENTER_CS, VM_AMD64_REG_SYSENTER_ESP, VM_AMD64_REG_SYSENTER_EIP, -1
	};
	static const int arm64[] = {
		VM_ARM64_REG_SP_EL0, VM_ARM64_REG_SPSR_EL1, VM_ARM64_REG_ELR_EL1, VM_ARM64_REG_ESR_EL1,
		VM_ARM64_REG_FAR_EL1, VM_ARM64_REG_TTBR0_EL1, VM_ARM64_REG_TTBR1_EL1, VM_ARM64_REG_MAIR_EL1,
		VM_ARM64_REG_CONTEXTIDR_EL1, VM_ARM64_REG_TPIDR_EL0, VM_ARM64_REG_TPIDRRO_EL0,
		VM_ARM64_REG_TPIDR_EL1, -1
	};
	struct h_vm *h = h_open(t, "regs", NULL);
	struct h_cpu *cpu = &h->cpu[0];
	const int *regs = t->arch == VM_ARCH_AMD64 ? amd64 : arm64;
	unsigned bits;

	for (int pass = 0; pass < 2; pass++) {
		for (unsigned i = 0; regs[i] >= 0; i++) {
			uint64_t val = 0x00001234567ff000 + i * 0x1000;

			CHECKF(vm_register_name(h->ctx, regs[i], &bits) != NULL, "register 0x%x has no name", regs[i]);
			if (bits < 64)
				val &= (1ULL << bits) - 1;
			if (regs[i] == VM_AMD64_REG_SFMASK || regs[i] == VM_AMD64_REG_SYSENTER_CS ||
			    regs[i] == VM_ARM64_REG_SPSR_EL1)
				val = 0x300 + i;
			/* The host's processor may be AMD's, which keep 32 bits of them (APM vol. 2 6.1.2). */
			if (t->accel == VM_ACCEL_KVM && (regs[i] == VM_AMD64_REG_SYSENTER_ESP || regs[i] == VM_AMD64_REG_SYSENTER_EIP))
				val &= UINT32_MAX;
			if (pass == 0)
				h_set(cpu, regs[i], val);
			CHECKF(h_get(cpu, regs[i]) == val, "register %s is 0x%llx, not 0x%llx (pass %d)",
			    vm_register_name(h->ctx, regs[i], NULL), (unsigned long long)h_get(cpu, regs[i]),
			    (unsigned long long)val, pass);
		}
		if (pass == 0)
			CHECK(h_run(cpu));
	}
	h_close(h);
}

/* The hidden parts of segments, through a run. */
H_TEST(descriptors, H_AMD64)
{
	struct h_vm *h = h_open(t, "regs", NULL);
	struct vcpu *v = h->cpu[0].vcpu;
	uint64_t base;
	uint32_t limit, access;

	OK(vm_set_desc(v, VM_AMD64_REG_FS, 0x12345000, 0xfffff, 0x4093));
	OK(vm_set_desc(v, VM_AMD64_REG_GS, 0x00abc000, 0xffffffff, 0xc093));
	OK(vm_set_desc(v, VM_AMD64_REG_GDTR, 0x800, 31, 0));
	OK(vm_set_desc(v, VM_AMD64_REG_IDTR, 0x1000, 0x3ff, 0));
	for (int pass = 0; pass < 2; pass++) {
		OK(vm_get_desc(v, VM_AMD64_REG_FS, &base, &limit, &access));
		CHECK_EQ(base, 0x12345000);
		CHECK_EQ(limit, 0xfffff);
		CHECK_EQ(access & 0xc0ff, 0x4093);
		OK(vm_get_desc(v, VM_AMD64_REG_GS, &base, &limit, &access));
		CHECK_EQ(base, 0x00abc000);
		CHECK_EQ(limit, 0xffffffff);
		CHECK_EQ(access & 0xc0ff, 0xc093);
		OK(vm_get_desc(v, VM_AMD64_REG_CS, &base, &limit, &access));
		CHECK_EQ(base, 0);
		CHECK_EQ(limit, 0xffffffff);
		CHECK_EQ(access & 0xe0ff, 0xc09b);
		OK(vm_get_desc(v, VM_AMD64_REG_GDTR, &base, &limit, &access));
		CHECK_EQ(base, 0x800);
		CHECK_EQ(limit, 31);
		OK(vm_get_desc(v, VM_AMD64_REG_IDTR, &base, &limit, &access));
		CHECK_EQ(base, 0x1000);
		CHECK_EQ(limit, 0x3ff);
		OK(vm_get_desc(v, VM_AMD64_REG_TR, &base, &limit, &access));
		CHECK_EQ(base, 0x700);
		CHECK_EQ(limit, 0x67);
		CHECK_EQ(h_get(&h->cpu[0], VM_AMD64_REG_CS), 8);
		CHECK_EQ(h_get(&h->cpu[0], VM_AMD64_REG_DS), 16);
		if (pass == 0)
			CHECK(h_run(&h->cpu[0]));
	}
	CHECK_EQ(vm_get_desc(v, VM_AMD64_REG_RAX, &base, &limit, &access), -1);
	CHECK_EQ(errno, EINVAL);
	h_close(h);
}

/* A reset of the vCPU gives power-on state; with the entry state again the payload runs again. */
H_TEST(reset, H_ALL)
{
	struct h_vm *h = h_open(t, "regs", NULL);
	struct h_cpu *cpu = &h->cpu[0];

	for (int i = 0; i < 3; i++) {
		CHECK(h_run(cpu));
		if (i == 1)
			OK(vcpu_reset(cpu->vcpu));
		else
			OK(vm_vcpu_reset(cpu->vcpu));
		if (t->arch == VM_ARCH_AMD64) {
			/* Intel SDM vol. 3 table 9-1. */
			CHECK_EQ(h_get(cpu, VM_AMD64_REG_RIP), 0xfff0);
			CHECK_EQ(h_get(cpu, VM_AMD64_REG_CR0), 0x60000010);
			CHECK_EQ(h_get(cpu, VM_AMD64_REG_RFLAGS), 2);
			CHECK_EQ(h_get(cpu, VM_AMD64_REG_CS), 0xf000);
			CHECK_EQ(h_get(cpu, VM_AMD64_REG_RAX), 0);
		} else {
			CHECK_EQ(h_get(cpu, VM_ARM64_REG_PSTATE), 0x3c5);
			CHECK_EQ(h_get(cpu, VM_ARM64_REG_SCTLR_EL1) & 1, 0);
		}
		h_entry(cpu);
	}
	h_close(h);
}

/* SECTION: several vCPUs */

static void
smp_check(struct h_vm *h, unsigned rounds)
{
	/* Two or three locked increments a round by each vCPU, and one under the lock. */
	CHECK_EQ(h_result(h, 0), (h->a->arch == VM_ARCH_AMD64 ? 3UL : 2UL) * rounds * (unsigned)h->ncpu);
	CHECK_EQ(h_result(h, 1), 0);
	CHECK_EQ(h_result(h, 2), (uint64_t)rounds * (unsigned)h->ncpu);
}

H_TEST(smp, H_ALL)
{
	const struct h_opts o = { .ncpu = 2 };
	struct h_vm *h = h_open(t, "smp", &o);
	unsigned rounds = t->accel == VM_ACCEL_KVM ? 2000 : 20000;

	h_param(h, 0, rounds);
	h_start(h);
	h_join(h);
	smp_check(h, rounds);
	h_close(h);
}

/* As many as a machine may have. */
H_TEST(smp_many, H_ALL)
{
	const struct h_opts o = { .ncpu = H_MAXCPU };
	struct h_vm *h = h_open(t, "smp", &o);

	h_param(h, 0, 20);
	h_start(h);
	h_join(h);
	smp_check(h, 20);
	h_close(h);
}

/* And each has the others' attention. */
H_TEST(ipi_many, H_AMD64)
{
	const struct h_opts o = { .ncpu = H_MAXCPU };
	struct h_vm *h = h_open(t, "ipi", &o);

	h_param(h, 0, 10);
	h_param(h, 1, H_MAXCPU);
	h_start(h);
	h_join(h);
	CHECK_EQ(h_result(h, 0), 10 * H_MAXCPU);
	for (unsigned i = 0; i < H_MAXCPU; i++)
		CHECK_EQ(h_result(h, 1 + i), 11);
	h_close(h);
}

/* The first vm_run() starts the VM, whichever thread makes it: also when all do at once. */
static void *
first_run(void *arg)
{
	struct h_cpu *cpu = arg;

	pthread_barrier_wait(cpu->h->arg);
	CHECK(h_run(cpu));
	return (NULL);
}

H_TEST(first_run, H_ALL)
{
	const struct h_opts o = { .ncpu = 4 };
	pthread_barrier_t barrier;

	h_need(t);
	CHECK_EQ(pthread_barrier_init(&barrier, NULL, 4), 0);
	for (int i = 0; i < 30; i++) {
		struct h_vm *h = h_open(t, "smp", &o);

		h->arg = &barrier;
		h_param(h, 0, 10);
		for (int j = 0; j < 4; j++)
			CHECK_EQ(pthread_create(&h->cpu[j].thread, NULL, first_run, &h->cpu[j]), 0);
		for (int j = 0; j < 4; j++)
			CHECK_EQ(pthread_join(h->cpu[j].thread, NULL), 0);
		smp_check(h, 10);
		h_close(h);
	}
	pthread_barrier_destroy(&barrier);
}

/* The guest starts the other vCPUs itself. */
H_TEST(smp_psci, H_ARM64)
{
	const struct h_opts o = { .ncpu = 4, .others_off = true };
	struct h_vm *h = h_open(t, "smp", &o);

	h_param(h, 0, 3000);
	h_param(h, 1, 4);
	h_start(h);
	h_join(h);
	smp_check(h, 3000);
	h_close(h);
}

/* A vCPU whose thread comes only after it was turned on starts where it was told to. */
H_TEST(smp_psci_late, H_ARM64)
{
	const struct h_opts o = { .ncpu = 3, .others_off = true };
	struct h_vm *h = h_open(t, "smp", &o);

	h_param(h, 0, 50);
	h_param(h, 1, 3);
	for (int i = 0; i < 3; i++)
		CHECK(h_run(&h->cpu[i]));
	smp_check(h, 50);
	h_close(h);
}

struct two {
	const struct h_target *t;
	pthread_t	 thread;
};

static void *
two_thread(void *arg)
{
	struct two *two = arg;
	const struct h_opts o = { .ncpu = 2 };

	for (int i = 0; i < 3; i++) {
		struct h_vm *h = h_open(two->t, "smp", &o);

		h_param(h, 0, 2000);
		h_start(h);
		h_join(h);
		smp_check(h, 2000);
		h_close(h);
	}
	return (NULL);
}

/* VMs of both architectures, on each usable back end, run at once in one process. */
TEST(two_architectures)
{
	struct two two[H_NTARGETS];
	unsigned n = 0, arches = 0;
	const char *why = "";

	for (unsigned i = 0; i < H_NTARGETS; i++) {
		if (h_usable(&h_targets[i], &why)) {
			two[n++].t = &h_targets[i];
			arches |= 1U << h_targets[i].arch;
		}
	}
	if (arches != (1U << VM_ARCH_AMD64 | 1U << VM_ARCH_ARM64))
		SKIP(why);
	for (unsigned i = 0; i < n; i++)
		CHECK_EQ(pthread_create(&two[i].thread, NULL, two_thread, &two[i]), 0);
	for (unsigned i = 0; i < n; i++)
		CHECK_EQ(pthread_join(two[i].thread, NULL), 0);
}

/* SECTION: debuggers */

static bool
on_debug(struct h_cpu *cpu, struct vm_exit *exit)
{
	return (false);
}

static void
set_points(struct h_vm *h, const struct vm_debug_point *p, unsigned n)
{
	OK(vm_pause(h->ctx));
	OK(vm_debug_set(h->ctx, p, n));
	OK(vm_resume(h->ctx));
}

/*
 * amd64's debug registers are the host's own while kvm's guests run.  A processor that is emulated without virtualization, and QEMU's, which has that,
 * do not look at all of them then.
 */
static const char *
may_not_stop(const struct h_target *t)
{
	bool virtualizes = false;
	char line[4096];
	FILE *f;

	if (t->arch != VM_ARCH_AMD64 || t->accel != VM_ACCEL_KVM)
		return (NULL);
	if (getenv("HYVE_TEST_SLOWER") != NULL)
		return ("the lab's emulated processor stops guests at no such point, or step");
	PTR(f = fopen("/proc/cpuinfo", "r"));
	while (!virtualizes && fgets(line, sizeof(line), f) != NULL)
		virtualizes = strncmp(line, "flags", 5) == 0 && (strstr(line, " vmx") != NULL || strstr(line, " svm") != NULL);
	(void)fclose(f);
	return (virtualizes ? NULL : "this /dev/kvm, which has no hardware virtualization beneath, stops guests at no such point, or step");
}

/* Let the guest go on to a stop. */
static const struct vm_exit *
stops(struct h_cpu *cpu, enum vm_debug_why by)
{
	const char *why = may_not_stop(cpu->h->t);
	char buf[256];

	if (h_run(cpu)) {
		if (why != NULL && cpu->h->arg == NULL)
			SKIP(why);
		FAIL("the guest did not stop");
	}
	cpu->h->arg = cpu;
	CHECKF(cpu->exit.code == VM_EXIT_DEBUG && cpu->exit.u.debug.why == by, "exit %s", h_exit_str(&cpu->exit, buf, sizeof(buf)));
	return (&cpu->exit);
}

static void
stops_at(struct h_cpu *cpu, const struct vm_debug_point *p)
{
	const struct vm_exit *e = stops(cpu, VM_DEBUG_AT_POINT);

	CHECK_EQ(e->u.debug.kind, p->kind);
	CHECK_EQ(e->u.debug.addr, p->addr);
}

/* One instruction; where the guest is then. */
static uint64_t
step(struct h_cpu *cpu)
{
	OK(vm_set_capability(cpu->vcpu, VM_CAP_SINGLE_STEP, 1));
	(void)stops(cpu, VM_DEBUG_BY_STEP);
	OK(vm_set_capability(cpu->vcpu, VM_CAP_SINGLE_STEP, 0));
	return (h_get(cpu, cpu->h->a->pc));
}

/* A guest that has run, so that there can be points, and is at its beginning again. */
static struct h_vm *
open_points(const struct h_target *t, const char *payload)
{
	struct h_vm *h = h_open(t, payload, NULL);

	h->on_exit = on_debug;
	h_param(h, 0, 4);
	CHECK(h_run(&h->cpu[0]));
	h_entry(&h->cpu[0]);
	return (h);
}

/* Before an instruction; there again until it is stepped over; no more when it was taken away. */
H_TEST(points, H_ALL)
{
	struct h_vm *h = open_points(t, "regs");
	struct h_cpu *cpu = &h->cpu[0];
	struct vm_debug_point p = { .kind = VM_DEBUG_EXEC };
	uint64_t pc[4];

	pc[0] = h_get(cpu, h->a->pc);
	for (unsigned i = 1; i < 4; i++) {
		pc[i] = step(cpu);
		CHECK(pc[i] > pc[i - 1] && pc[i] <= pc[i - 1] + 15);
	}
	h_entry(cpu);
	p.addr = pc[2];
	set_points(h, &p, 1);
	for (int i = 0; i < 2; i++) {
		stops_at(cpu, &p);
		CHECK_EQ(h_get(cpu, h->a->pc), pc[2]);
	}
	CHECK_EQ(step(cpu), pc[3]);
	CHECK(h_run(cpu));
	h_entry(cpu);
	CHECK_EQ(step(cpu), pc[1]);
	stops_at(cpu, &p);
	set_points(h, NULL, 0);
	CHECK(h_run(cpu));
	h_close(h);
}

/* At a store and at a load, and not at their neighbours: RESULT(2) is read and written once a round. */
H_TEST(points_data, H_ALL)
{
	struct h_vm *h = open_points(t, "smp");
	struct h_cpu *cpu = &h->cpu[0];
	/* arm64's accesses have 8 bytes. */
	struct vm_debug_point p[] = {
		{ VM_DEBUG_WRITE, h->a->results + (t->arch == VM_ARCH_AMD64 ? 16 : 20), 4 }, { VM_DEBUG_WRITE, h->a->results + 24, 8 },
		{ VM_DEBUG_READ, h->a->results + 32, 2 },
	};

	for (unsigned round = 1; round <= 4; round++) {
		set_points(h, p, 3);
		stops_at(cpu, &p[0]);
		/* Some architectures stop before the store. */
		set_points(h, NULL, 0);
		if (h_result(h, 2) == 4 + round - 1)
			(void)step(cpu);
		CHECK_EQ(h_result(h, 2), 4 + round);
	}
	CHECK(h_run(cpu));
	CHECK_EQ(h_result(h, 2), 8);
	h_entry(cpu);
	p[0].kind = VM_DEBUG_ACCESS;
	set_points(h, p, 1);
	CHECK(!h_run(cpu));
	CHECK_EQ(cpu->exit.u.debug.addr, p[0].addr);
	CHECK_EQ(h_result(h, 2), 8);
	set_points(h, NULL, 0);
	CHECK(h_run(cpu));
	h_close(h);
}

/* More than there are are refused, and those from before are there still. */
H_TEST(points_too_many, H_KVM)
{
	struct h_vm *h = open_points(t, "smp");
	struct vm_debug_point p[17];

	for (unsigned i = 0; i < 17; i++)
		p[i] = (struct vm_debug_point){ .kind = VM_DEBUG_EXEC, .addr = h->a->load + 0x1000 - 4 * i };
	p[0].addr = h_get(&h->cpu[0], h->a->pc);
	set_points(h, p, 1);
	OK(vm_pause(h->ctx));
	CHECK_EQ(vm_debug_set(h->ctx, p, 17), -1);
	CHECK_EQ(errno, ENOSPC);
	CHECK(strstr(vm_errmsg(), "breakpoints") != NULL);
	OK(vm_resume(h->ctx));
	stops_at(&h->cpu[0], &p[0]);
	h_close(h);
}

/* There is no PMU; what it would have is undefined.  The guest's own BRK is its own while there are points, and while it is stepped through. */
H_TEST(undefined, H_ARM64)
{
	struct h_vm *h = h_open(t, "undefined", NULL);
	struct h_cpu *cpu = &h->cpu[0];
	const struct vm_debug_point p = { .kind = VM_DEBUG_EXEC, .addr = h->a->load + 0xffc };

	h->on_exit = on_debug;
	for (int round = 0; round < 3; round++) {
		for (int steps = 0; round == 2 && h_result(h, 3) == UINT64_MAX; steps++) {
			CHECK(steps < 60);
			(void)step(cpu);
		}
		CHECK(h_run(cpu));
		CHECK_EQ(h_result(h, 0) >> 8 & 0xf, 0);		/* PMUVer (Arm ARM D13.2.59) */
		CHECK_EQ(h_result(h, 1) >> 26 & 0x3f, 0);	/* unknown reason: undefined */
		CHECK_EQ(h_result(h, 2) >> 26 & 0x3f, 0);
		CHECK_EQ(h_result(h, 3), 0xf2000007);		/* BRK #7 */
		for (unsigned i = 0; i < 4; i++)
			h_write(h, h->a->results + 8 * i, UINT64_MAX, 8);
		h_entry(cpu);
		set_points(h, &p, 1);
	}
	h_close(h);
}

/* SECTION: kick, pause, suspend, halt */

/* A test that drives one endless vCPU: each exit is a post. */
struct spin {
	sem_t		kicked;
	_Atomic bool	done;
};

static bool
exit_kicked(struct h_cpu *cpu, struct vm_exit *exit)
{
	struct spin *s = cpu->h->arg;
	bool done = atomic_load(&s->done);	/* before the post, which lets the next kick be made */
	char buf[256];

	CHECKF(exit->code == VM_EXIT_KICKED, "exit %s", h_exit_str(exit, buf, sizeof(buf)));
	sem_post(&s->kicked);
	return (!done);
}

static void
save_handlers(struct sigaction *sa)
{
	for (int i = 1; i < NSIG; i++) {
		memset(&sa[i], 0, sizeof(sa[i]));
		(void)sigaction(i, NULL, &sa[i]);
	}
}

static void
same_handlers(const struct sigaction *was)
{
	static struct sigaction now[NSIG];

	save_handlers(now);
	for (int i = 1; i < NSIG; i++)
		CHECKF(now[i].sa_handler == was[i].sa_handler && now[i].sa_flags == was[i].sa_flags,
		    "the disposition of signal %d changed", i);
}

/* An emulator of programs (qemu-user) may keep the highest signals to itself. */
static bool
is_signal(int sig)
{
	sigset_t one, was, now;

	sigemptyset(&one);
	sigaddset(&one, sig);
	CHECK_EQ(pthread_sigmask(SIG_BLOCK, &one, &was), 0);
	CHECK_EQ(pthread_sigmask(SIG_SETMASK, &was, &now), 0);
	return (sigismember(&now, sig) != 0);
}

H_TEST(kick, H_ALL)
{
	static struct sigaction was[NSIG];
	struct h_vm *h;
	struct spin s = { .done = false };
	struct vm_exit exit;
	const uint64_t *stats;
	sigset_t set;
	int n;

	save_handlers(was);
	h = h_open(t, "spin", NULL);
	sem_init(&s.kicked, 0, 0);
	h->arg = &s;
	h->on_exit = exit_kicked;

	/* Before it runs: the next run returns at once, and two kicks are one. */
	OK(vm_vcpu_kick(h->cpu[0].vcpu));
	OK(vm_vcpu_kick(h->cpu[0].vcpu));
	OK(vm_run(h->cpu[0].vcpu, &exit));
	CHECK_EQ(exit.code, VM_EXIT_KICKED);
	CHECK_EQ(pthread_sigmask(SIG_SETMASK, NULL, &set), 0);
	CHECK(!is_signal(VM_KICK_SIGNAL) || sigismember(&set, VM_KICK_SIGNAL));

	h_start(h);
	h_wait(&h->reported, "the guest to run");
	for (int i = 0; i < 20; i++) {
		if (i == 19)
			atomic_store(&s.done, true);
		OK(vm_vcpu_kick(h->cpu[0].vcpu));
		h_wait(&s.kicked, "a kick to arrive");
	}
	h_join(h);
	same_handlers(was);
	PTR(stats = vm_get_stats(h->cpu[0].vcpu, &n));
	CHECK_EQ(n, VM_STAT_LAST);
	CHECK(stats[VM_STAT_KICK] >= 21);
	h_close(h);
	same_handlers(was);
}

/* A vCPU that waits for an interrupt hears a kick too. */
H_TEST(kick_idle, H_ALL)
{
	struct h_vm *h = h_open(t, "msi", NULL);
	struct spin s = { .done = false };

	sem_init(&s.kicked, 0, 0);
	h->arg = &s;
	h->on_exit = exit_kicked;
	h_param(h, 0, 1);
	h_start(h);
	h_wait(&h->reported, "the guest to run");
	for (int i = 0; i < 10; i++) {
		if (i == 9)
			atomic_store(&s.done, true);
		for (int j = 0; j < 5; j++)
			h_nap();
		OK(vm_vcpu_kick(h->cpu[0].vcpu));
		h_wait(&s.kicked, "a kick to arrive");
	}
	h_join(h);
	h_close(h);
}

H_TEST(pause, H_ALL)
{
	struct h_vm *h = h_open(t, "spin", NULL);
	struct h_cpu *cpu = &h->cpu[0];
	struct spin s = { .done = true };
	uint64_t pc, count, clock, reg, later;

	sem_init(&s.kicked, 0, 0);
	h->arg = &s;
	h->on_exit = exit_kicked;
	CHECK_EQ(vm_resume(h->ctx), -1);
	CHECK_EQ(errno, EINVAL);
	h_start(h);
	h_wait(&h->reported, "the guest to run");
	CHECK_EQ(vm_get_register(cpu->vcpu, h->a->pc, &reg), -1);
	CHECK_EQ(errno, EBUSY);
	for (int i = 0; i < 5; i++) {
		OK(vm_pause(h->ctx));
		OK(vm_pause(h->ctx));		/* nests */
		clock = vm_clock_now(h->ctx);
		count = h_get(cpu, h->a->counter);
		pc = h_get(cpu, h->a->pc);
		CHECK(pc >= h->a->load && pc < h->a->load + 0x100);
		for (int j = 0; j < 10; j++)
			h_nap();
		CHECK_EQ(vm_clock_now(h->ctx), clock);
		OK(vm_resume(h->ctx));
		for (int j = 0; j < 10; j++)
			h_nap();
		CHECK_EQ(h_get(cpu, h->a->counter), count);
		CHECK_EQ(h_get(cpu, h->a->pc), pc);
		/* Written while paused, it is what the guest goes on with. */
		h_set(cpu, h->a->counter, 0x40000000);
		OK(vm_resume(h->ctx));
		do {
			h_nap();
			OK(vm_pause(h->ctx));
			later = h_get(cpu, h->a->counter);
			CHECK(later >= 0x40000000);
			OK(vm_resume(h->ctx));
		} while (later == 0x40000000);
		CHECK(vm_clock_now(h->ctx) > clock);
	}
	OK(vm_vcpu_kick(cpu->vcpu));
	h_join(h);
	h_close(h);
}

static bool
exit_suspended(struct h_cpu *cpu, struct vm_exit *exit)
{
	char buf[256];

	CHECKF(exit->code == VM_EXIT_SUSPENDED, "exit %s", h_exit_str(exit, buf, sizeof(buf)));
	return (false);
}

H_TEST(suspend, H_ALL)
{
	const struct h_opts o = { .ncpu = 2 };
	struct h_vm *h = h_open(t, "spin", &o);
	struct vm_exit exit;

	h->on_exit = exit_suspended;
	h_start(h);
	h_wait(&h->reported, "the guest to run");
	h_wait(&h->reported, "the other vCPU to run");
	OK(vm_suspend(h->ctx, VM_SUSPEND_POWEROFF));
	CHECK_EQ(vm_suspend(h->ctx, VM_SUSPEND_RESET), -1);
	CHECK_EQ(errno, EALREADY);
	h_join(h);
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(h->cpu[i].exit.u.suspended.how, VM_SUSPEND_POWEROFF);
		OK(vm_run(h->cpu[i].vcpu, &exit));
		CHECK_EQ(exit.code, VM_EXIT_SUSPENDED);
	}
	/* Taken back, it runs on from where it was. */
	OK(vm_unsuspend(h->ctx));
	h_start(h);
	for (int j = 0; j < 10; j++)
		h_nap();
	OK(vm_suspend(h->ctx, VM_SUSPEND_RESET));
	h_join(h);
	CHECK_EQ(h->cpu[0].exit.u.suspended.how, VM_SUSPEND_RESET);
	h_close(h);
}

/* The guest ends itself: a triple fault, or PSCI. */
H_TEST(off, H_ALL)
{
	static const struct {
		uint64_t		func;
		enum vm_suspend_how	how;
	} psci[] = { { 0x84000008, VM_SUSPEND_POWEROFF }, { 0x84000009, VM_SUSPEND_RESET } };

	for (int i = 0; i < (t->arch == VM_ARCH_ARM64 ? 2 : 1); i++) {
		struct h_vm *h = h_open(t, "off", NULL);

		h->on_exit = exit_suspended;
		if (t->arch == VM_ARCH_ARM64)
			h_param(h, 0, psci[i].func);
		else
			OK(vm_set_desc(h->cpu[0].vcpu, VM_AMD64_REG_IDTR, 0, 0, 0));
		CHECK(!h_run(&h->cpu[0]));
		CHECK_EQ(h->cpu[0].exit.u.suspended.how,
		    t->arch == VM_ARCH_ARM64 ? psci[i].how : VM_SUSPEND_TRIPLEFAULT);
		h_close(h);
	}
}

/* Where messages go: vector 0x50 of APIC 0 (SDM vol. 3 10.11.1); GICD_SETSPI_NSR (GICv3 12.9.35) with SPI 40. */
static void
msi_address(const struct h_vm *h, uint64_t *addr, uint32_t *data)
{
	if (h->a->arch == VM_ARCH_AMD64) {
		*addr = 0xfee00000;
		*data = 0x50;
	} else {
		*addr = H_GICD + 0x40;
		*data = 40;
	}
}

static struct vm_irq *
msi_open(struct h_vm *h)
{
	struct vm_irq *irq;
	uint64_t addr;
	uint32_t data;

	if (h->a->arch == VM_ARCH_ARM64)
		h_gic_setup(h, 40, false);
	msi_address(h, &addr, &data);
	PTR(irq = vm_irq_open_msi(h->ctx, 0x10));
	OK(vm_irq_set_msi(irq, addr, data));
	OK(vm_irq_set_mask(irq, false));
	return (irq);
}

static bool
exit_halt(struct h_cpu *cpu, struct vm_exit *exit)
{
	char buf[256];

	CHECKF(exit->code == VM_EXIT_HALT, "exit %s", h_exit_str(exit, buf, sizeof(buf)));
	return (false);
}

H_TEST(halt_exit, H_ALL)
{
	struct h_vm *h = h_open(t, "msi", NULL);
	struct h_cpu *cpu = &h->cpu[0];
	struct vm_irq *irq;
	int val = -1;

	irq = msi_open(h);
	OK(vm_start(h->ctx));
	if (vm_set_capability(cpu->vcpu, VM_CAP_HALT_EXIT, 1) != 0) {
		/* An in-kernel interrupt controller keeps halts to itself. */
		CHECK_EQ(errno, ENOTSUP);
		CHECK(t->accel == VM_ACCEL_KVM);
		SKIP(vm_errmsg());
	}
	OK(vm_get_capability(cpu->vcpu, VM_CAP_HALT_EXIT, &val));
	CHECK_EQ(val, 1);
	h_param(h, 0, 3);
	h->on_exit = exit_halt;
	for (int i = 0; i < 3; i++) {
		CHECK(!h_run(cpu));
		CHECK_EQ(atomic_load(&h->nacks), i);
		OK(vm_irq_assert(irq));
	}
	CHECK(h_run(cpu));
	CHECK_EQ(h_result(h, 0), 3);
	vm_irq_close(irq);
	h_close(h);
}

/* SECTION: interrupts */

/* n interrupts arrived, counted by the guest. */
static void
finish_count(struct h_vm *h, struct vm_irq *irq, uint64_t n)
{
	h_join(h);
	CHECK_EQ(h_result(h, 0), n);
	vm_irq_close(irq);
	h_close(h);
}

H_TEST(msi, H_ALL)
{
	struct h_vm *h = h_open(t, "msi", NULL);
	struct vm_irq *irq = msi_open(h);
	struct vm_irq_info info;

	h_param(h, 0, 50);
	h_start(h);
	h_wait(&h->reported, "the guest to run");
	for (int i = 0; i < 49; i++) {
		OK(i % 2 == 0 ? vm_irq_assert(irq) : vm_irq_pulse(irq));
		h_wait(&h->acked, "a message to arrive");
	}
	/* Masked, it waits. */
	OK(vm_irq_set_mask(irq, true));
	OK(vm_irq_assert(irq));
	OK(vm_irq_get_info(irq, &info));
	CHECK(info.is_msi && info.masked && info.pending);
	CHECK_EQ(info.requester, 0x10);
	for (int j = 0; j < 10; j++)
		h_nap();
	CHECK_EQ(atomic_load(&h->nacks), 49);
	OK(vm_irq_set_mask(irq, false));
	finish_count(h, irq, 50);
}

/* The message's eventfd. */
H_TEST(msi_eventfd, H_ALL)
{
	struct h_vm *h = h_open(t, "msi", NULL);
	struct vm_irq *irq = msi_open(h);
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	CHECK(fd >= 0);
	OK(vm_irq_bind(irq, fd, -1));
	h_param(h, 0, 50);
	h_start(h);
	h_wait(&h->reported, "the guest to run");
	for (int i = 0; i < 50; i++) {
		CHECK_EQ(eventfd_write(fd, 1), 0);
		h_wait(&h->acked, "a message to arrive");
	}
	h_join(h);
	OK(vm_irq_bind(irq, -1, -1));
	close(fd);
	vm_irq_close(irq);
	CHECK_EQ(h_result(h, 0), 50);
	h_close(h);
}

/* Messages without a handle. */
H_TEST(raise_msi, H_ALL)
{
	struct h_vm *h = h_open(t, "msi", NULL);
	uint64_t addr;
	uint32_t data;

	vm_irq_close(msi_open(h));	/* for the controller's set-up */
	msi_address(h, &addr, &data);
	h_param(h, 0, 10);
	h_start(h);
	h_wait(&h->reported, "the guest to run");
	for (int i = 0; i < 10; i++) {
		OK(vm_raise_msi(h->ctx, addr, data, 0, 2, 0));
		h_wait(&h->acked, "a message to arrive");
	}
	finish_count(h, NULL, 10);
}

/* A device with a level-triggered line: reasons come, the guest's acknowledgement takes one away. */
#define	LINE	10

struct level_dev {
	struct vm_irq	*irq[2];		/* sources of the line */
	_Atomic unsigned reasons[2];
	_Atomic unsigned left;			/* reasons to come */
	sem_t		 eois;
};

static void
level_ack(struct h_vm *h, uint32_t val)
{
	struct level_dev *d = h->arg;

	CHECK_EQ(val, h->a->arch == VM_ARCH_AMD64 ? 0x40 : H_SPI(LINE));
	for (unsigned i = 0; i < 2; i++) {
		if (atomic_load(&d->reasons[i]) == 0)
			continue;
		/* One at a time: the other source keeps the line up. */
		if (atomic_fetch_sub(&d->reasons[i], 1) == 1)
			OK(vm_irq_deassert(d->irq[i]));
		return;
	}
	FAIL("an interrupt without a reason");
}

static void
level_eoi(void *arg)
{
	sem_post(&((struct level_dev *)arg)->eois);
}

static void
level_raise(struct level_dev *d, unsigned i)
{
	atomic_fetch_add(&d->reasons[i], 1);
	OK(vm_irq_assert(d->irq[i]));
}

H_TEST(irq_level, H_ALL)
{
	struct h_vm *h = h_open(t, "irq", NULL);
	struct level_dev d = { .left = 0 };
	const char *why = h_no_in_service(t);

	if (why != NULL)
		SKIP(why);
	if (t->arch == VM_ARCH_ARM64)
		h_gic_setup(h, H_SPI(LINE), true);
	sem_init(&d.eois, 0, 0);
	for (unsigned i = 0; i < 2; i++)
		PTR(d.irq[i] = vm_irq_open_line(h->ctx, LINE));
	OK(vm_irq_on_eoi(d.irq[0], level_eoi, &d));
	h->arg = &d;
	h->on_ack = level_ack;
	h_param(h, 0, 60);
	h_param(h, 1, LINE);
	h_param(h, 2, 1);
	h_start(h);
	h_wait(&h->reported, "the guest to run");
	for (int i = 0; i < 20; i++) {
		level_raise(&d, 0);
		h_wait(&h->acked, "an interrupt");
		h_wait(&d.eois, "its end");
	}
	/* Shared: two reasons at once are two interrupts, whatever the order. */
	for (int i = 0; i < 20; i++) {
		OK(vm_pause(h->ctx));
		level_raise(&d, i & 1);
		level_raise(&d, ~i & 1);
		OK(vm_resume(h->ctx));
		for (int j = 0; j < 2; j++) {
			h_wait(&h->acked, "an interrupt");
			h_wait(&d.eois, "its end");
		}
	}
	h_join(h);
	OK(vm_irq_on_eoi(d.irq[0], NULL, NULL));
	CHECK_EQ(h_result(h, 0), 60);
	CHECK_EQ(atomic_load(&h->nacks), 60);
	for (unsigned i = 0; i < 2; i++)
		vm_irq_close(d.irq[i]);
	h_close(h);
}

H_TEST(irq_edge, H_ALL)
{
	struct h_vm *h = h_open(t, "irq", NULL);
	struct vm_irq *irq;

	if (t->arch == VM_ARCH_ARM64)
		h_gic_setup(h, H_SPI(LINE), false);
	PTR(irq = vm_irq_open_line(h->ctx, LINE));
	h_param(h, 0, 40);
	h_param(h, 1, LINE);
	h_param(h, 2, 0);
	h_start(h);
	h_wait(&h->reported, "the guest to run");
	for (int i = 0; i < 20; i++) {
		OK(vm_irq_pulse(irq));
		h_wait(&h->acked, "an edge");
	}
	for (int i = 0; i < 20; i++) {
		OK(vm_irq_assert(irq));		/* one interrupt, however long it stays up */
		h_wait(&h->acked, "an edge");
		h_nap();
		OK(vm_irq_deassert(irq));
	}
	finish_count(h, irq, 40);
}

/* SECTION: timer ticks */

static void
tick_fire(void *arg)
{
	struct vm_irq *irq = ((void **)arg)[0];
	struct vm_timer *timer = ((void **)arg)[1];

	OK(vm_irq_pulse(irq));
	OK(vm_timer_arm(timer, vm_timer_count(timer) + 1));
}

/*
 * The payload leaves its loop once it has counted 100 ticks; where the host is so slow that ticks come before the loop looks again, it
 * has counted more, but never more than there were periods (of 1193 / 1193182 Hz).
 */
static void
ticked(struct h_vm *h)
{
	uint64_t count = h_result(h, 0), most = vm_clock_now(h->ctx) / 999847 + 1;

	CHECKF(count >= 100, "%ju ticks", (uintmax_t)count);
	CHECKF(count <= most, "%ju ticks in %ju periods", (uintmax_t)count, (uintmax_t)most);
}

/* A device on the VM's clock drives a line at 1 kHz. */
H_TEST(tick_device, H_ALL)
{
	struct h_vm *h = h_open(t, "irq", NULL);
	void *arg[2];
	uint64_t began;

	if (t->arch == VM_ARCH_ARM64)
		h_gic_setup(h, H_SPI(LINE), false);
	PTR(arg[0] = vm_irq_open_line(h->ctx, LINE));
	PTR(arg[1] = vm_timer_open(h->ctx, 1000, tick_fire, arg));
	h_param(h, 0, 100);
	h_param(h, 1, LINE);
	h_param(h, 2, 0);
	h_start(h);
	h_wait(&h->reported, "the guest to run");
	began = vm_clock_now(h->ctx);
	OK(vm_timer_arm(arg[1], vm_timer_count(arg[1]) + 1));
	h_join(h);
	/* Edges may merge, never multiply: 100 interrupts are at least 99 periods. */
	CHECK(vm_clock_now(h->ctx) - began >= 99 * 1000000);
	OK(vm_timer_disarm(arg[1]));
	vm_timer_close(arg[1]);
	ticked(h);
	vm_irq_close(arg[0]);
	h_close(h);
}

/* The architecture's own tick at 1 kHz: 8254 through a handle and the 8259; virtual timer. */
static struct h_vm *
tick_open(const struct h_target *t, const struct h_opts *o, struct vm_i8254 **pit)
{
	struct h_vm *h = h_open(t, "tick", o);

	*pit = NULL;
	if (t->arch == VM_ARCH_AMD64) {
		PTR(*pit = vm_amd64_i8254_open(h->ctx));
	} else {
		h_gic_setup(h, 27, true);
		h_param(h, 1, vm_get_counter_freq(h->ctx) / 1000);
	}
	h_param(h, 0, 100);
	return (h);
}

H_TEST(tick, H_ALL)
{
	struct vm_i8254 *pit;
	struct h_vm *h = tick_open(t, NULL, &pit);

	CHECK(h_run(&h->cpu[0]));
	ticked(h);
	/* Interrupts may merge, never multiply: 100 are at least 99 periods (of 1193 / 1193182 Hz). */
	CHECK(vm_clock_now(h->ctx) >= 99 * 999847);
	vm_amd64_i8254_close(pit);
	h_close(h);
}

/* Paused, time stands and no tick comes; afterwards all do. */
H_TEST(tick_paused, H_ALL)
{
	struct vm_i8254 *pit;
	struct h_vm *h = tick_open(t, NULL, &pit);
	uint64_t clock, count;

	h_start(h);
	for (int i = 0; i < 5; i++) {
		OK(vm_pause(h->ctx));
		clock = vm_clock_now(h->ctx);
		count = h_result(h, 0);
		for (int j = 0; j < 10; j++)
			h_nap();
		CHECK_EQ(h_result(h, 0), count);
		CHECK_EQ(vm_clock_now(h->ctx), clock);
		OK(vm_resume(h->ctx));
		h_nap();
	}
	h_join(h);
	ticked(h);
	vm_amd64_i8254_close(pit);
	h_close(h);
}

/* On virtual time every tick comes at the same instruction, and waiting takes none. */
H_TEST(tick_icount, H_SOFT)
{
	const struct h_opts o = { .clock = VM_CLOCK_ICOUNT };
	uint64_t clock[2], insns[2];
	const uint64_t *stats;
	struct vm_i8254 *pit;
	int n;

	for (int i = 0; i < 2; i++) {
		struct h_vm *h = tick_open(t, &o, &pit);

		CHECK(h_run(&h->cpu[0]));
		CHECK_EQ(h_result(h, 0), 100);
		clock[i] = vm_clock_now(h->ctx);
		PTR(stats = vm_get_stats(h->cpu[0].vcpu, &n));
		insns[i] = stats[VM_STAT_INSNS];
		vm_amd64_i8254_close(pit);
		h_close(h);
	}
	CHECK(clock[0] >= 99 * 999847 && clock[0] < 102 * 1000000);
	CHECK_EQ(clock[0], clock[1]);
	CHECK_EQ(insns[0], insns[1]);
}

/* SECTION: doorbells */

struct bells {
	unsigned	 notified;
	struct vm_doorbell *db[4];
	int		 fd[4];
	unsigned	 n;
};

static void
bell_notify(void *arg)
{
	((struct bells *)arg)->notified++;
}

static bool
exit_bell(struct h_cpu *cpu, struct vm_exit *exit)
{
	struct bells *b = cpu->h->arg;
	uint64_t data = exit->code == VM_EXIT_IO ? exit->u.io.data : exit->u.mmio.data;

	/* Only what no doorbell matches comes out. */
	CHECK_EQ(data, 2);
	b->notified++;
	return (true);
}

static void
bells_open(struct h_vm *h, struct bells *b, bool match, void (*notify)(void *arg))
{
	memset(b, 0, sizeof(*b));
	for (b->n = 0; b->n < h->a->nprobe; b->n++) {
		struct vm_doorbell_spec spec = {
			.space = h->a->bell[b->n].space, .addr = h->a->bell[b->n].addr, .size = 2, .match = match,
			.value = 1, .notify = notify, .arg = b,
		};

		spec.fd = b->fd[b->n] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		CHECK(spec.fd >= 0);
		PTR(b->db[b->n] = vm_doorbell_open(h->ctx, &spec));
		CHECK(vm_doorbell_open(h->ctx, &spec) == NULL);
		CHECK_EQ(errno, EEXIST);
	}
	h->arg = b;
}

static uint64_t
bells_close(struct h_vm *h, struct bells *b)
{
	uint64_t sum = 0, val;

	for (unsigned i = 0; i < b->n; i++) {
		if (eventfd_read(b->fd[i], &val) == 0)
			sum += val;
		vm_doorbell_close(b->db[i]);
		close(b->fd[i]);
	}
	return (sum);
}

/* Every write is counted in the eventfd, and none is an exit. */
H_TEST(doorbell, H_ALL)
{
	struct h_vm *h = h_open(t, "doorbell", NULL);
	struct bells b;
	unsigned n;

	bells_open(h, &b, false, NULL);
	h_param(h, 0, 500);
	CHECK(h_run(&h->cpu[0]));
	CHECK_EQ(h->cpu[0].nexits, 0);
	n = b.n;
	CHECK_EQ(bells_close(h, &b), 500 * 2 * n);

	/* Closed, the writes are nobody's. */
	h->on_exit = exit_ignore;
	h_param(h, 0, 5);
	h_entry(&h->cpu[0]);
	CHECK(h_run(&h->cpu[0]));
	CHECK_EQ(h->cpu[0].nexits, 5 * 2 * n);
	h_close(h);
}

/* Only writes of one value; the others are exits. */
H_TEST(doorbell_match, H_ALL)
{
	struct h_vm *h = h_open(t, "doorbell", NULL);
	struct bells b;
	unsigned n;

	bells_open(h, &b, true, NULL);
	h->on_exit = exit_bell;
	h_param(h, 0, 100);
	CHECK(h_run(&h->cpu[0]));
	n = b.n;
	CHECK_EQ(h->cpu[0].nexits, 100 * n);
	CHECK_EQ(b.notified, 100 * n);
	CHECK_EQ(bells_close(h, &b), 100 * n);
	h_close(h);
}

/* Where the library executes the guest it calls; where a kernel does, it writes the eventfd.  Nothing is lost in either. */
H_TEST(doorbell_notify, H_ALL)
{
	struct h_vm *h = h_open(t, "doorbell", NULL);
	struct bells b;
	unsigned n;

	bells_open(h, &b, false, bell_notify);
	h_param(h, 0, 500);
	CHECK(h_run(&h->cpu[0]));
	CHECK_EQ(h->cpu[0].nexits, 0);
	n = b.n;
	CHECK_EQ(bells_close(h, &b) + b.notified, 500 * 2 * n);
	if (t->accel == VM_ACCEL_SOFT)
		CHECK_EQ(b.notified, 500 * 2 * n);
	h_close(h);
}

/* SECTION: state */

static bool
exit_stop(struct h_cpu *cpu, struct vm_exit *exit)
{
	return (false);
}

static void
copy_ram(struct h_vm *to, struct h_vm *from)
{
	const void *s;
	void *d;

	PTR(s = vm_map_read(from->ctx, from->a->ram, H_RAM));
	PTR(d = vm_map_gpa(to->ctx, to->a->ram, H_RAM));
	memcpy(d, s, H_RAM);
}

/* Make n, which was just opened, what h is, and close h. */
static void
move_into(struct h_vm *n, struct h_vm *h)
{
	struct vm_state_out *out;
	struct vm_state_in *in;
	const void *data;
	size_t len;

	PTR(out = vm_state_out_open());
	OK(vm_state_save(h->ctx, out));
	PTR(data = vm_state_out_data(out, &len));
	copy_ram(n, h);
	PTR(in = vm_state_in_open(data, len));
	OK(vm_state_load(n->ctx, in));
	OK(vm_state_in_done(in));
	vm_state_in_close(in);
	vm_state_out_close(out);
	n->on_exit = h->on_exit;
	h_close(h);
}

/* The same for a VM on target `to`. */
static struct h_vm *
move(struct h_vm *h, const struct h_target *to, int ncpu)
{
	const struct h_opts o = { .ncpu = ncpu, .others_off = true, .moves = true };
	struct h_vm *n = h_open(to, "selfstate", &o);

	move_into(n, h);
	return (n);
}

/* Saved at every exit and taken up by a fresh VM, the payload computes the same. */
static void
selfstate(const struct h_target *t, const struct h_target *other, unsigned rounds)
{
	const struct h_target *const both[] = { t, other };
	struct h_opts o = { .moves = true };
	struct h_vm *h;
	unsigned moves = 0;

	h_common(both, 2, &o);
	h = h_open(t, "selfstate", &o);

	h_param(h, 0, rounds);
	h->on_exit = exit_stop;
	while (!h_run(&h->cpu[0])) {
		CHECK_EQ(h->cpu[0].nexits, 1);
		h = move(h, moves++ % 2 == 0 ? other : t, 1);
	}
	CHECK_EQ(moves, (rounds + 7) / 8);
	CHECK_EQ((uint32_t)h_result(h, 0), h_work_hash(rounds));
	h_close(h);
}

H_TEST(state, H_ALL)
{
	h_need(t);
	selfstate(t, t, 100);
}

/* Copy every register and hidden segment part. */
static void
copy_regs(struct h_cpu *to, struct h_cpu *from)
{
	static const int segs[] = {
		VM_AMD64_REG_ES, VM_AMD64_REG_CS, VM_AMD64_REG_SS, VM_AMD64_REG_DS, VM_AMD64_REG_FS, VM_AMD64_REG_GS,
		VM_AMD64_REG_LDTR, VM_AMD64_REG_TR, VM_AMD64_REG_IDTR, VM_AMD64_REG_GDTR
	};
	bool amd64 = from->h->a->arch == VM_ARCH_AMD64;
	int first = amd64 ? VM_AMD64_REG_FIRST : VM_ARM64_REG_FIRST, last = amd64 ? VM_AMD64_REG_LAST : VM_ARM64_REG_LAST;
	uint32_t limit, access;
	uint64_t val;
	unsigned n = 0;

	for (size_t i = 0; amd64 && i < sizeof(segs) / sizeof(segs[0]); i++) {
		OK(vm_get_desc(from->vcpu, segs[i], &val, &limit, &access));
		OK(vm_set_desc(to->vcpu, segs[i], val, limit, access));
	}
	for (int reg = first; reg < last; reg++) {
		if (vm_get_register(from->vcpu, reg, &val) != 0)
			continue;
		if (vm_set_register(to->vcpu, reg, val) == 0)
			n++;
		else
			CHECKF(errno == EPERM, "%s: %s", vm_register_name(to->h->ctx, reg, NULL), vm_errmsg());
	}
	CHECK(n > 30);
}

/* A vCPU's record means the same on every back end: the payload moves to and fro between two, register by register. */
static void
regs_cross(const struct h_target *a, const struct h_target *b)
{
	struct h_vm *h, *n;
	unsigned moves = 0;

	h_need(a);
	h_need(b);
	h = h_open(a, "selfstate", NULL);
	h_param(h, 0, 60);
	h->on_exit = exit_stop;
	while (!h_run(&h->cpu[0])) {
		n = h_open(moves++ % 2 == 0 ? b : a, "selfstate", NULL);
		copy_regs(&n->cpu[0], &h->cpu[0]);
		copy_ram(n, h);
		n->on_exit = exit_stop;
		h_close(h);
		h = n;
	}
	CHECK_EQ(moves, (60 + 7) / 8);
	CHECK_EQ((uint32_t)h_result(h, 0), h_work_hash(60));
	h_close(h);
}

TEST(regs_cross_amd64)
{
	regs_cross(&h_targets[0], &h_targets[2]);
}

TEST(regs_cross_arm64)
{
	regs_cross(&h_targets[1], &h_targets[3]);
}

/* The same by streams, where the back ends take over each other's controllers; the one that does not says so. */
static void
state_cross(const struct h_target *a, const struct h_target *b)
{
	const struct h_target *const both[] = { a, b };
	struct h_opts o = { .moves = true };
	struct vm_state_out *out;
	struct vm_state_in *in;
	struct h_vm *h, *n;
	const void *data;
	size_t len;

	h_need(a);
	h_need(b);
	h_common(both, 2, &o);
	h = h_open(a, "selfstate", &o);
	n = h_open(b, "selfstate", &o);
	h_param(h, 0, 20);
	h->on_exit = exit_stop;
	CHECK(!h_run(&h->cpu[0]));
	PTR(out = vm_state_out_open());
	OK(vm_state_save(h->ctx, out));
	PTR(data = vm_state_out_data(out, &len));
	PTR(in = vm_state_in_open(data, len));
	if (vm_state_load(n->ctx, in) != 0) {
		CHECK_EQ(errno, ENOTSUP);
		SKIP(vm_errmsg());
	}
	vm_state_in_close(in);
	vm_state_out_close(out);
	h_close(n);
	h_close(h);
	selfstate(a, b, 60);
}

TEST(state_cross_amd64)
{
	state_cross(&h_targets[0], &h_targets[2]);
}

TEST(state_cross_arm64)
{
	state_cross(&h_targets[1], &h_targets[3]);
}

/*
 * Saved and taken up again between two ticks, controllers and timers go on: not one tick is counted twice or forgotten.
 */
static void
state_tick(const struct h_target *t, const struct h_target *to)
{
	const struct h_target *const both[] = { t, to };
	struct h_opts o = { .moves = true };
	struct vm_i8254 *pit, *npit;
	struct h_vm *h, *n;
	struct vm_state_out *out;
	struct vm_state_in *in;
	const void *data;
	uint64_t count, clock;
	size_t len;

	h_common(both, 2, &o);
	/* A busy host may let this thread sleep until the payload is through: then once more. */
	for (int try = 0;; try++) {
		h = tick_open(t, &o, &pit);
		h->on_exit = exit_suspended;
		h_start(h);
		for (;;) {
			OK(vm_pause(h->ctx));
			if ((count = h_result(h, 0)) >= 20)
				break;
			OK(vm_resume(h->ctx));
			h_nap();
		}
		if (count < 100)
			break;
		CHECK(try < 50);
		OK(vm_resume(h->ctx));
		h_join(h);
		vm_amd64_i8254_close(pit);
		h_close(h);
	}
	clock = vm_clock_now(h->ctx);
	PTR(out = vm_state_out_open());
	OK(vm_state_save(h->ctx, out));
	if (pit != NULL)
		OK(vm_state_put(out, vm_amd64_i8254_state(), "", pit));
	PTR(data = vm_state_out_data(out, &len));

	n = tick_open(to, &o, &npit);
	copy_ram(n, h);
	if (to->arch == VM_ARCH_AMD64)
		h_param(n, 15, 0);	/* kvm may have no IRET */
	OK(vm_pause(n->ctx));		/* so that time starts when all is there */
	PTR(in = vm_state_in_open(data, len));
	if (npit != NULL)
		OK(vm_state_get(in, vm_amd64_i8254_state(), "", npit));
	if (vm_state_load(n->ctx, in) != 0) {
		/* Only another back end may refuse, and says why. */
		CHECKF(t != to && errno == ENOTSUP, "%s", vm_errmsg());
		SKIP(vm_errmsg());
	}
	OK(vm_state_in_done(in));
	CHECK_EQ(vm_clock_now(n->ctx), clock);
	if (npit != NULL)
		vm_amd64_i8254_loaded(npit);
	OK(vm_resume(n->ctx));
	vm_state_in_close(in);
	vm_state_out_close(out);

	OK(vm_suspend(h->ctx, VM_SUSPEND_POWEROFF));
	OK(vm_resume(h->ctx));
	h_join(h);
	vm_amd64_i8254_close(pit);
	h_close(h);

	CHECK(h_run(&n->cpu[0]));
	ticked(n);
	CHECK(vm_clock_now(n->ctx) >= 99 * 999847);
	vm_amd64_i8254_close(npit);
	h_close(n);
}

H_TEST(state_tick, H_ALL)
{
	h_need(t);
	state_tick(t, t);
}

/* From one back end to each other that runs the architecture here. */
H_TEST(state_tick_moves, H_ALL)
{
	const char *why = "no other back end runs its architecture here";
	unsigned n = 0;

	h_need(t);
	for (unsigned i = 0; i < H_NTARGETS; i++) {
		const struct h_target *to = &h_targets[i];

		if (to == t || to->arch != t->arch || !h_usable(to, &why))
			continue;
		state_tick(t, to);
		n++;
	}
	if (n == 0)
		SKIP(why);
}

/* A damaged stream is refused, and the VM can be restored from the good one afterwards. */
H_TEST(state_damaged, H_ALL)
{
	const struct h_opts o = { .moves = true };
	struct h_vm *h = h_open(t, "selfstate", &o), *n;
	struct vm_state_out *out;
	struct vm_state_in *in;
	unsigned char *copy;
	const void *data;
	size_t len;

	h_param(h, 0, 40);
	h->on_exit = exit_stop;
	CHECK(!h_run(&h->cpu[0]));
	PTR(out = vm_state_out_open());
	OK(vm_state_save(h->ctx, out));
	PTR(data = vm_state_out_data(out, &len));
	CHECK((copy = malloc(len)) != NULL);
	for (size_t at = 0; at < len; at += len / 97 + 1) {
		memcpy(copy, data, len);
		copy[at] ^= 0x10;
		in = vm_state_in_open(copy, len);
		if (in == NULL)
			CHECK(errno == EILSEQ || errno == ENOTSUP);
		else
			FAIL("a stream with byte %zu of %zu changed was accepted", at, len);
		CHECK(vm_errmsg()[0] != '\0');
		memcpy(copy, data, len);
		CHECK(vm_state_in_open(copy, at) == NULL);
		CHECK_EQ(errno, EILSEQ);
	}
	free(copy);
	vm_state_out_close(out);
	n = move(h, t, 1);
	while (!h_run(&n->cpu[0]))
		continue;
	CHECK_EQ((uint32_t)h_result(n, 0), h_work_hash(40));
	h_close(n);
}

/* SECTION: virtual time */

struct race {
	uint64_t	mem, hash[2], clock, insns[2];
};

static void
run_race(const struct h_target *t, int ncpu, uint64_t seed, struct race *r)
{
	const struct h_opts o = { .ncpu = ncpu, .clock = VM_CLOCK_ICOUNT, .seed = seed };
	struct h_vm *h = h_open(t, "race", &o);
	const uint64_t *stats;
	int n;

	memset(r, 0, sizeof(*r));
	h_param(h, 0, 20000);
	h_start(h);
	h_join(h);
	r->mem = h_result(h, 0);
	r->clock = vm_clock_now(h->ctx);
	for (int i = 0; i < ncpu; i++) {
		r->hash[i] = h_result(h, 1 + (unsigned)i);
		PTR(stats = vm_get_stats(h->cpu[i].vcpu, &n));
		r->insns[i] = stats[VM_STAT_INSNS];
		CHECK(r->insns[i] > 20000);
	}
	h_close(h);
}

static void
same_race(const struct race *a, const struct race *b)
{
	CHECK_EQ(a->mem, b->mem);
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(a->hash[i], b->hash[i]);
		CHECK_EQ(a->insns[i], b->insns[i]);
	}
	CHECK_EQ(a->clock, b->clock);
}

/* Time is counted in instructions: the same run every time, with one vCPU and with two that race. */
H_TEST(icount, H_SOFT)
{
	struct race a, b;

	h_need(t);
	run_race(t, 1, 0, &a);
	run_race(t, 1, 0, &b);
	same_race(&a, &b);
	for (uint64_t seed = 1; seed < 6; seed++) {
		run_race(t, 2, seed, &a);
		run_race(t, 2, seed, &b);
		same_race(&a, &b);
	}
}

/* The order of two vCPUs is the seed's. */
H_TEST(icount_seed, H_SOFT)
{
	struct race a, b;
	unsigned differ = 0;

	h_need(t);
	run_race(t, 2, 1, &a);
	for (uint64_t seed = 2; seed < 10; seed++) {
		run_race(t, 2, seed, &b);
		differ += a.hash[0] != b.hash[0] || a.hash[1] != b.hash[1];
	}
	CHECK(differ > 0);
}

/* A back end that cannot count refuses. */
H_TEST(icount_refused, H_KVM)
{
	struct vm_spec spec = {
		.size = sizeof(spec), .arch = t->arch, .accel = t->accel, .clock = VM_CLOCK_ICOUNT,
	};
	struct vmctx *ctx;

	h_need(t);
	ctx = vm_new(&spec);
	if (ctx != NULL) {
		PTR(vm_vcpu_open(ctx, 0));
		CHECK_EQ(vm_start(ctx), -1);
	}
	CHECK(errno == ENOTSUP || errno == EINVAL);
	CHECK(vm_errmsg()[0] != '\0');
	vm_close(ctx);
}

/* SECTION: dirty pages */

/* What the guest stored to, and nothing else in the arena, is dirty (dirty_oracle.c does the rest). */
H_TEST(dirty_pages, H_ALL)
{
	struct h_vm *h = h_open(t, "selfstate", NULL);
	struct vm_dirty *d;
	uint64_t bits[H_RAM / VM_PAGE_SIZE / 64], touched;
	size_t n = 0;

	h_param(h, 0, 50);
	h->on_exit = exit_ignore;
	PTR(d = vm_dirty_open(h->ctx));
	OK(vm_dirty_fetch(d, h->a->ram, H_RAM, bits));
	for (size_t i = 0; i < sizeof(bits) / 8; i++)
		CHECK_EQ(bits[i], 0);
	CHECK(h_run(&h->cpu[0]));
	OK(vm_dirty_fetch(d, h->a->ram, H_RAM, bits));
	touched = (h->a->arena - h->a->ram) / VM_PAGE_SIZE;
	CHECK((bits[touched / 64] >> touched % 64 & 1) != 0);
	touched = (h->a->results - h->a->ram) / VM_PAGE_SIZE;
	CHECK((bits[touched / 64] >> touched % 64 & 1) != 0);
	for (size_t i = 0; i < sizeof(bits) / 8; i++)
		n += (size_t)__builtin_popcountll(bits[i]);
	CHECK(n >= 3 && n <= 8);	/* table, result, stack */
	OK(vm_dirty_fetch(d, h->a->ram, H_RAM, bits));
	for (size_t i = 0; i < sizeof(bits) / 8; i++)
		CHECK_EQ(bits[i], 0);
	vm_dirty_close(d);
	h_close(h);
}

/* SECTION: AVX */

/* An output of the payload, and nothing else. */
static bool
exit_probe(struct h_cpu *cpu, struct vm_exit *exit)
{
	char buf[256], regs[512] = "";

	if (exit->code != VM_EXIT_IO || exit->u.io.port != cpu->h->a->probe[0].addr) {
		(void)vm_vcpu_describe(cpu->vcpu, regs, sizeof(regs));
		FAIL("exit %s, %s", h_exit_str(exit, buf, sizeof(buf)), regs);
	}
	return (false);
}

static void
avx_exception(struct h_vm *h)
{
	CHECKF(h_result(h, 2) == 0, "exception %u at 0x%x, XCR0 0x%x, CR4 0x%x", (unsigned)h_result(h, 2), (unsigned)h_result(h, 3),
	    (unsigned)h_result(h, 4), (unsigned)h_result(h, 5));
}

/* Registers of AVX, and of AVX-512 where there is that, are kept at each exit over a move into another VM. */
static void
avx(const struct h_target *t, const char *model)
{
	const struct h_opts o = { .model = model };
	struct h_vm *h = h_open(t, "avx", &o), *n;
	struct vm_exit exit;

	if (vm_start(h->ctx) != 0)
		SKIP(vm_errmsg());
	h_param(h, 0, 12);
	h->on_exit = exit_probe;
	/* There is a /dev/kvm that emulates privileged code, and has none of these instructions. */
	OK(vm_run(h->cpu[0].vcpu, &exit));
	if (exit.code == VM_EXIT_ERROR && strstr(vm_errmsg(), "cannot emulate an instruction") != NULL)
		SKIP(vm_errmsg());
	if (h_is_exit_byte(h->a, &exit) && h_result(h, 2) == 0)
		SKIP("the guest's processor has no AVX here");
	avx_exception(h);
	(void)exit_probe(&h->cpu[0], &exit);
	while (!h_run(&h->cpu[0])) {
		n = h_open(t, "avx", &o);
		move_into(n, h);
		h = n;
	}
	avx_exception(h);
	CHECK(h_result(h, 0) >= 256);
	CHECK_EQ(h_result(h, 1), 0);
	printf("# %s: %u bytes of registers\n", model == NULL ? "by itself" : model, (unsigned)h_result(h, 0));
	h_close(h);
}

H_TEST(avx, H_AMD64)
{
	h_need(t);
	avx(t, NULL);
}

H_TEST(avx_v3, H_AMD64)
{
	h_need(t);
	avx(t, "v3");
}

H_TEST(avx_v4, H_AMD64)
{
	h_need(t);
	avx(t, "v4");
}

/* SECTION: model-specific registers */

/* What an access to one comes to. */
enum msr_says {
	MSR_IS,			/* reads as the value */
	MSR_READS,		/* as something */
	MSR_TAKES,		/* the value, and reads as that then */
	MSR_IGNORES,		/* what is written */
	MSR_NO_READ, MSR_NO_WRITE,	/* they fault */
};

static const struct msr_case {
	uint32_t	 msr;
	enum msr_says	 says;
	uint64_t	 val;
	bool		 modelled;	/* with a processor model, not the host's */
	bool		 baseline;	/* with baseline alone */
} msr_cases[] = {
	/* of the processor; what they refuse the kernel says on kvm */
	{ .msr = 0x010, .says = MSR_READS }, { .msr = 0x01b, .says = MSR_READS }, { .msr = 0x1a0, .says = MSR_READS },
	{ .msr = 0x174, .says = MSR_TAKES, .val = 0x10 }, { .msr = 0x175, .says = MSR_TAKES, .val = 0xffff800012345678 },
	{ .msr = 0x176, .says = MSR_TAKES, .val = 0x12345678 },
	{ .msr = 0x277, .says = MSR_TAKES, .val = 0x0001040506070006 },
	{ .msr = 0x2ff, .says = MSR_TAKES, .val = 0xc06 }, { .msr = 0x250, .says = MSR_TAKES, .val = 0x0606060606060606 },
	{ .msr = 0x200, .says = MSR_TAKES, .val = 0x12345006 }, { .msr = 0xc0000080, .says = MSR_READS },
	{ .msr = 0xc0000081, .says = MSR_TAKES, .val = 0x0123456789abcdef }, { .msr = 0xc0000102, .says = MSR_TAKES, .val = 0xffff800000000123 },
	{ .msr = 0xc0000103, .says = MSR_TAKES, .val = 0x89abcdef, .baseline = true },
	{ .msr = 0x4b564d00, .says = MSR_IS, .val = 0 }, { .msr = 0x4b564d01, .says = MSR_IS, .val = 0 },
	/* constants */
	{ .msr = 0x000, .says = MSR_IS, .val = 0 }, { .msr = 0x001, .says = MSR_IGNORES, .val = 5 }, { .msr = 0x017, .says = MSR_IS, .val = 0 },
	{ .msr = 0x017, .says = MSR_NO_WRITE, .val = 0 }, { .msr = 0x02a, .says = MSR_IS, .val = 0 }, { .msr = 0x034, .says = MSR_IS, .val = 0 },
	{ .msr = 0x03a, .says = MSR_IS, .val = 1 }, { .msr = 0x03a, .says = MSR_NO_WRITE, .val = 5 },
	{ .msr = 0x08b, .says = MSR_IS, .val = 0x1fULL << 32, .modelled = true }, { .msr = 0x08b, .says = MSR_IGNORES, .val = 0 },
	{ .msr = 0x0ce, .says = MSR_READS }, { .msr = 0x198, .says = MSR_READS }, { .msr = 0x0fe, .says = MSR_IS, .val = 0x508 },
	{ .msr = 0x0fe, .says = MSR_NO_WRITE, .val = 0x508 }, { .msr = 0x179, .says = MSR_IS, .val = 0 }, { .msr = 0x179, .says = MSR_NO_WRITE, .val = 1 },
	{ .msr = 0x1d9, .says = MSR_IS, .val = 0 }, { .msr = 0x1d9, .says = MSR_IGNORES, .val = 0 }, { .msr = 0x1d9, .says = MSR_NO_WRITE, .val = 1 },
	/* of which CPUID does not tell: what there is against speculation, with the baselines */
	{ .msr = 0x048, .says = MSR_NO_READ, .modelled = true }, { .msr = 0x049, .says = MSR_NO_WRITE, .val = 1, .modelled = true },
	{ .msr = 0x10a, .says = MSR_NO_READ, .modelled = true }, { .msr = 0x10b, .says = MSR_NO_WRITE, .val = 1, .modelled = true },
	/* counters, branch records, error banks, VMX, trace, power, frequencies, CET, XSS */
	{ .msr = 0x0c1, .says = MSR_NO_READ }, { .msr = 0x186, .says = MSR_NO_WRITE, .val = 0 }, { .msr = 0x309, .says = MSR_NO_READ },
	{ .msr = 0x345, .says = MSR_NO_READ }, { .msr = 0x38f, .says = MSR_NO_WRITE, .val = 0 }, { .msr = 0x3f1, .says = MSR_NO_READ },
	{ .msr = 0x1c9, .says = MSR_NO_READ }, { .msr = 0x1db, .says = MSR_NO_READ }, { .msr = 0x400, .says = MSR_NO_READ },
	{ .msr = 0x401, .says = MSR_NO_WRITE, .val = 0 }, { .msr = 0x280, .says = MSR_NO_READ }, { .msr = 0x480, .says = MSR_NO_READ },
	{ .msr = 0x570, .says = MSR_NO_READ }, { .msr = 0x606, .says = MSR_NO_READ }, { .msr = 0x611, .says = MSR_NO_READ },
	{ .msr = 0x770, .says = MSR_NO_READ }, { .msr = 0x199, .says = MSR_NO_WRITE, .val = 0 }, { .msr = 0x1ad, .says = MSR_NO_READ },
	{ .msr = 0x1b0, .says = MSR_NO_READ }, { .msr = 0x1fc, .says = MSR_NO_READ }, { .msr = 0x0e7, .says = MSR_NO_READ },
	{ .msr = 0x6a0, .says = MSR_NO_READ }, { .msr = 0xda0, .says = MSR_NO_READ }, { .msr = 0x079, .says = MSR_NO_WRITE, .val = 0 },
	{ .msr = 0x122, .says = MSR_NO_READ }, { .msr = 0x140, .says = MSR_NO_READ }, { .msr = 0x04f, .says = MSR_NO_READ },
	/* AMD's */
	{ .msr = 0xc0010000, .says = MSR_NO_WRITE, .val = 0 }, { .msr = 0xc0010004, .says = MSR_NO_READ }, { .msr = 0xc0010114, .says = MSR_NO_READ },
	{ .msr = 0xc0010117, .says = MSR_NO_WRITE, .val = 0 }, { .msr = 0xc0010200, .says = MSR_NO_READ }, { .msr = 0xc0000104, .says = MSR_NO_READ },
	{ .msr = 0xc0010015, .says = MSR_NO_READ, .modelled = true }, { .msr = 0xc0011029, .says = MSR_NO_READ, .modelled = true },
	/* hypervisors', and nobody's */
	{ .msr = 0x40000000, .says = MSR_NO_READ }, { .msr = 0x4b564d02, .says = MSR_NO_WRITE, .val = 0 }, { .msr = 0x4b564d03, .says = MSR_NO_READ },
	{ .msr = 0x4b564d04, .says = MSR_NO_WRITE, .val = 0 }, { .msr = 0x12345, .says = MSR_NO_READ }, { .msr = 0xdeadbeef, .says = MSR_NO_WRITE },
};

#define	MSR_ENTRY	24

/* What a machine does with a register that there is not. */
static bool
exit_sysreg(struct h_cpu *cpu, struct vm_exit *exit)
{
	char buf[256];

	CHECKF(exit->code == VM_EXIT_SYSREG, "exit %s", h_exit_str(exit, buf, sizeof(buf)));
	(void)vm_restart_instruction(cpu->vcpu);
	OK(vm_amd64_inject_exception(cpu->vcpu, 13, 1, 0, 1));
	return (true);
}

static unsigned
msr_entry(struct h_vm *h, unsigned n, uint32_t what, uint32_t msr, uint64_t val)
{
	vm_paddr_t at = h->a->arena + MSR_ENTRY * n;

	h_write(h, at, what, 4);
	h_write(h, at + 4, msr, 4);
	h_write(h, at + 8, val, 8);
	h_write(h, at + 16, 0, 4);
	return (n + 1);
}

static void
msr_results(struct h_vm *h, const struct msr_case *c, unsigned n)
{
	vm_paddr_t at = h->a->arena + MSR_ENTRY * n, second = at + MSR_ENTRY;
	uint64_t says = h_read(h, at + 16, 4), val = h_read(h, at + 8, 8);

	CHECKF(says == (c->says == MSR_NO_READ || c->says == MSR_NO_WRITE ? 2 : 1), "register 0x%x, value 0x%" PRIx64 ": %" PRIu64, c->msr, c->val, says);
	if (c->says == MSR_IS)
		CHECKF(val == c->val, "register 0x%x reads as 0x%" PRIx64, c->msr, val);
	if (c->says == MSR_TAKES)
		CHECKF(h_read(h, second + 16, 4) == 1 && h_read(h, second + 8, 8) == c->val, "register 0x%x, value 0x%" PRIx64 ": 0x%" PRIx64, c->msr, c->val,
		    h_read(h, second + 8, 8));
}

static void
msrs(const struct h_target *t, const struct h_opts *o)
{
	bool modelled = o->model != NULL, baseline = modelled && strcmp(o->model, "baseline") == 0;
	struct h_vm *h = h_open(t, "msrs", o);
	unsigned n = 0, refused = 0;
	int entries;

	for (size_t i = 0; i < sizeof(msr_cases) / sizeof(msr_cases[0]); i++) {
		const struct msr_case *c = &msr_cases[i];

		if ((c->modelled && !modelled) || (c->baseline && !baseline))
			continue;
		n = msr_entry(h, n, c->says <= MSR_READS || c->says == MSR_NO_READ ? 1 : 2, c->msr, c->val);
		if (c->says == MSR_TAKES)
			n = msr_entry(h, n, 1, c->msr, 0);
	}
	(void)msr_entry(h, n, 0, 0, 0);
	h->on_exit = exit_sysreg;
	CHECK(h_run(&h->cpu[0]));
	n = 0;
	for (size_t i = 0; i < sizeof(msr_cases) / sizeof(msr_cases[0]); i++) {
		const struct msr_case *c = &msr_cases[i];

		if ((c->modelled && !modelled) || (c->baseline && !baseline))
			continue;
		msr_results(h, c, n);
		n += c->says == MSR_TAKES ? 2 : 1;
		refused += c->says >= MSR_NO_READ;
	}
	CHECK(n > 70 && refused > 40);
	/* Those of nobody come to the caller, and are counted. */
	CHECK(h->cpu[0].nexits > 30);
	CHECK_EQ(vm_get_stats(h->cpu[0].vcpu, &entries)[VM_STAT_SYSREG], h->cpu[0].nexits);
	h_close(h);
}

/* Guests find the same registers on every back end: those of the processor that they are shown, and nothing else of the host's. */
H_TEST(msrs, H_AMD64)
{
	struct h_opts o = { 0 };

	h_need(t);
	h_common(&t, 1, &o);
	msrs(t, &o);
	msrs(t, &(struct h_opts){ .model = t->accel == VM_ACCEL_KVM ? NULL : "baseline-v1" });
}

TEST_MAIN()
