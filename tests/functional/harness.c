/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * harness.c - see harness.h.
 */
#include <inttypes.h>
#include <time.h>

#include "harness.h"

const struct h_target h_targets[H_NTARGETS] = {
	{ "soft-amd64", VM_ARCH_AMD64, VM_ACCEL_SOFT },
	{ "soft-arm64", VM_ARCH_ARM64, VM_ACCEL_SOFT },
	{ "kvm-amd64", VM_ARCH_AMD64, VM_ACCEL_KVM },
	{ "kvm-arm64", VM_ARCH_ARM64, VM_ACCEL_KVM },
};

static const int amd64_gpr[] = {
	VM_AMD64_REG_RAX, VM_AMD64_REG_RCX, VM_AMD64_REG_RDX, VM_AMD64_REG_RBX, VM_AMD64_REG_RBP, VM_AMD64_REG_RSI,
	VM_AMD64_REG_RDI, -1
};

static const int arm64_gpr[] = {
	VM_ARM64_REG_X0 + 1, VM_ARM64_REG_X0 + 2, VM_ARM64_REG_X0 + 3, VM_ARM64_REG_X0 + 4, VM_ARM64_REG_X0 + 5,
	VM_ARM64_REG_X0 + 6, VM_ARM64_REG_X0 + 7, VM_ARM64_REG_X0 + 8, VM_ARM64_REG_X0 + 9, VM_ARM64_REG_X0 + 10,
	VM_ARM64_REG_X0 + 11, VM_ARM64_REG_X0 + 12, VM_ARM64_REG_X0 + 13, VM_ARM64_REG_X0 + 14, VM_ARM64_REG_X0 + 15,
	VM_ARM64_REG_X0 + 23, VM_ARM64_REG_X0 + 24, VM_ARM64_REG_X0 + 25, VM_ARM64_REG_X0 + 26, VM_ARM64_REG_X0 + 27,
	VM_ARM64_REG_X0 + 28, VM_ARM64_REG_X29, VM_ARM64_REG_LR, -1
};

static const struct h_arch arches[] = {
	{
		.arch = VM_ARCH_AMD64, .name = "amd64",
		.ram = 0, .load = 0x10000, .params = 0x6000, .results = 0x6800, .arena = 0x100000,
		.exit = { VM_SPACE_IO, 0xf4 }, .ctl = { VM_SPACE_IO, 0x600 },
		.probe = { { VM_SPACE_IO, 0x510 }, { VM_SPACE_MEM, 0xc0000000 } },
		.bell = { { VM_SPACE_IO, 0x700 }, { VM_SPACE_MEM, 0xc0010000 } },
		.nprobe = 2,
		.pc = VM_AMD64_REG_RIP, .counter = VM_AMD64_REG_RCX, .stack = VM_AMD64_REG_RSP, .gpr = amd64_gpr,
	},
	{
		.arch = VM_ARCH_ARM64, .name = "arm64",
		.ram = 0x40000000, .load = 0x40080000, .params = 0x40006000, .results = 0x40006800,
		.arena = 0x40100000,
		.exit = { VM_SPACE_MEM, 0x09ff0000 }, .ctl = { VM_SPACE_MEM, 0x09ff1000 },
		.probe = { { VM_SPACE_MEM, 0x09fe0000 } },
		.bell = { { VM_SPACE_MEM, 0x09fd0000 } },
		.nprobe = 1,
		.pc = VM_ARM64_REG_PC, .counter = VM_ARM64_REG_X0 + 2, .stack = VM_ARM64_REG_SP_EL1, .gpr = arm64_gpr,
	},
};

const struct h_arch *
h_arch(enum vm_arch arch)
{
	for (size_t i = 0; i < sizeof(arches) / sizeof(arches[0]); i++) {
		if (arches[i].arch == arch)
			return (&arches[i]);
	}
	FAIL("architecture %d", arch);
}

static const struct payload *
find_payload(const char *arch, const char *name)
{
	for (const struct payload *p = payloads; p->arch != NULL; p++) {
		if (strcmp(p->arch, arch) == 0 && (name == NULL || strcmp(p->name, name) == 0))
			return (p);
	}
	return (NULL);
}

bool
h_usable(const struct h_target *t, const char **why)
{
	if (find_payload(h_arch(t->arch)->name, NULL) == NULL) {
		*why = "its payloads were not built: no assembler and linker for them";
		return (false);
	}
	if (vm_accel_probe(t->accel, t->arch) != 0) {
		*why = vm_errmsg();
		return (false);
	}
	return (true);
}

void
h_need(const struct h_target *t)
{
	const char *why;

	if (!h_usable(t, &why))
		SKIP(why);
}

void
h_cases(const char *name, void (*fn)(const void *target), unsigned targets)
{
	char *full;

	for (unsigned i = 0; i < H_NTARGETS; i++) {
		if ((targets & (1U << i)) == 0)
			continue;
		if (asprintf(&full, "%s/%s", name, h_targets[i].name) < 0)
			_exit(1);
		test_add_arg(full, fn, &h_targets[i]);
	}
}

/* The control block.  Ports and memory have the same registers. */
static uint64_t
ctl_read(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size)
{
	struct h_vm *h = arg;

	if (off != 8)
		return (0);
	atomic_fetch_add(&h->asked[vcpu_id(vcpu)], 1);
	return (atomic_load(&h->stop));
}

static void
ctl_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	struct h_vm *h = arg;

	if (off == 4) {
		atomic_store(&h->report, (uint32_t)val);
		sem_post(&h->reported);
	} else if (off == 12) {
		atomic_fetch_add(&h->nacks, 1);
		if (h->on_ack != NULL)
			h->on_ack(h, (uint32_t)val);
		sem_post(&h->acked);
	}
}

uint64_t
h_get(struct h_cpu *cpu, int reg)
{
	uint64_t val;

	CHECKF(vm_get_register(cpu->vcpu, reg, &val) == 0, "register 0x%x: %s", reg, vm_errmsg());
	return (val);
}

void
h_set(struct h_cpu *cpu, int reg, uint64_t val)
{
	CHECKF(vm_set_register(cpu->vcpu, reg, val) == 0, "register 0x%x: %s", reg, vm_errmsg());
}

/* Flat 32-bit protected mode, paging off (Intel SDM vol. 3 section 9.8.1). */
static void
entry_amd64(struct h_cpu *cpu)
{
	static const int data[] = {
		VM_AMD64_REG_DS, VM_AMD64_REG_ES, VM_AMD64_REG_SS, VM_AMD64_REG_FS, VM_AMD64_REG_GS
	};
	struct vcpu *v = cpu->vcpu;

	OK(vm_set_desc(v, VM_AMD64_REG_CS, 0, 0xffffffff, 0xc09b));
	h_set(cpu, VM_AMD64_REG_CS, 8);
	for (size_t i = 0; i < sizeof(data) / sizeof(data[0]); i++) {
		OK(vm_set_desc(v, data[i], 0, 0xffffffff, 0xc093));
		h_set(cpu, data[i], 16);
	}
	OK(vm_set_desc(v, VM_AMD64_REG_GDTR, 0x800, 23, 0));
	OK(vm_set_desc(v, VM_AMD64_REG_IDTR, 0x1000, 0x7ff, 0));
	OK(vm_set_desc(v, VM_AMD64_REG_TR, 0x700, 0x67, 0x8b));
	OK(vm_set_desc(v, VM_AMD64_REG_LDTR, 0, 0, VM_AMD64_SEG_UNUSABLE));
	h_set(cpu, VM_AMD64_REG_CR0, 0x31);	/* PE, ET, NE */
	h_set(cpu, VM_AMD64_REG_RFLAGS, 2);
	h_set(cpu, VM_AMD64_REG_RIP, cpu->h->a->load);
	h_set(cpu, VM_AMD64_REG_RSP, 0x8000 + 0x1000 * (uint64_t)cpu->id);
	h_set(cpu, VM_AMD64_REG_RDI, (uint64_t)cpu->id);
	h_set(cpu, VM_AMD64_REG_RUN_STATE, VM_AMD64_RUNNING);
}

static void
entry_arm64(struct h_cpu *cpu)
{
	h_set(cpu, VM_ARM64_REG_PC, cpu->h->a->load);
	h_set(cpu, VM_ARM64_REG_SP_EL1, cpu->h->a->load - 0x1000 * (uint64_t)cpu->id);
	h_set(cpu, VM_ARM64_REG_X0, (uint64_t)cpu->id);
	h_set(cpu, VM_ARM64_REG_PSTATE, 0x3c5);	/* EL1h, DAIF set */
	h_set(cpu, VM_ARM64_REG_RUN_STATE, VM_ARM64_RUNNING);
}

void
h_entry(struct h_cpu *cpu)
{
	if (cpu->h->a->arch == VM_ARCH_AMD64)
		entry_amd64(cpu);
	else
		entry_arm64(cpu);
}

struct h_vm *
h_open(const struct h_target *t, const char *payload, const struct h_opts *opts)
{
	static const struct h_opts none;
	static const uint64_t gdt[3] = { 0, 0x00cf9b000000ffff, 0x00cf93000000ffff };
	struct h_vm *h = calloc(1, sizeof(*h));
	const struct payload *p;
	void *host;

	CHECK(h != NULL);
	h_need(t);
	if (opts == NULL)
		opts = &none;
	h->t = t;
	h->a = h_arch(t->arch);
	h->ncpu = opts->ncpu == 0 ? 1 : opts->ncpu;
	h->linger = opts->clock == VM_CLOCK_ICOUNT && h->ncpu > 1;
	p = find_payload(h->a->name, payload);
	CHECKF(p != NULL, "there is no payload '%s'", payload);
	sem_init(&h->reported, 0, 0);
	sem_init(&h->acked, 0, 0);

	struct vm_spec spec = {
		.size = sizeof(spec), .arch = t->arch, .accel = t->accel, .clock = opts->clock, .seed = opts->seed,
		.flags = opts->flags, .jit = opts->jit,
	};
	PTR(h->ctx = vm_new(&spec));
	/* arm64: kvm shows the host's processor, and soft one that no host lacks anything of.  amd64: the stream's, or what h_common() found. */
	if (opts->moves && t->arch == VM_ARCH_ARM64 && t->accel != VM_ACCEL_KVM)
		OK(vm_set_cpu_model(h->ctx, "baseline"));
	OK(vm_setup_memory(h->ctx, H_RAM, VM_MMAP_ALL));
	if (t->arch == VM_ARCH_ARM64)
		OK(vm_attach_vgic(h->ctx, H_GICD, 0x10000, H_GICR, H_GICR_STRIDE * H_MAXCPU));
	for (int i = 0; i < h->ncpu; i++) {
		struct h_cpu *cpu = &h->cpu[i];

		cpu->h = h;
		cpu->id = i;
		PTR(cpu->vcpu = vm_vcpu_open(h->ctx, i));
		if (i == 0 || !opts->others_off)
			h_entry(cpu);
	}
	PTR(host = vm_map_gpa(h->ctx, h->a->load, p->len));
	memcpy(host, p->data, p->len);
	if (t->arch == VM_ARCH_AMD64) {
		PTR(host = vm_map_gpa(h->ctx, 0x800, sizeof(gdt)));
		memcpy(host, gdt, sizeof(gdt));
		h_param(h, 15, t->accel != VM_ACCEL_KVM);	/* IRET */
	}

	struct vm_range_spec ctl = {
		.name = "control", .space = h->a->ctl.space, .base = h->a->ctl.addr, .len = 16, .read = ctl_read,
		.write = ctl_write, .arg = h,
	};
	if (opts->model != NULL)
		OK(vm_set_cpu_model(h->ctx, opts->model));
	if (opts->hz != 0)
		OK(vm_set_counter_freq(h->ctx, opts->hz));
	if (!opts->no_control)
		PTR(h->ctl = vm_range_add(h->ctx, &ctl));
	return (h);
}

void
h_common(const struct h_target *const *t, unsigned n, struct h_opts *o)
{
	static const char *const amd64[] = { "baseline", "baseline-v1", NULL }, *const none[] = { NULL };
	const char *const *model = t[0]->arch == VM_ARCH_AMD64 ? amd64 : none;
	struct h_opts plain = *o;
	struct h_vm *h;
	unsigned i;

	for (unsigned m = 0;; m++) {
		plain.model = o->model = model[m];
		plain.hz = o->hz = 0;
		for (i = 0; i < n; i++) {
			h = h_open(t[i], "selfstate", &plain);
			if (vm_start(h->ctx) != 0) {
				if (model[m] == NULL || model[m + 1] == NULL)
					SKIP(vm_errmsg());
				h_close(h);
				break;
			}
			o->hz = t[i]->accel == VM_ACCEL_KVM || o->hz == 0 ? vm_get_counter_freq(h->ctx) : o->hz;
			h_close(h);
		}
		if (i == n)
			return;
	}
}

void
h_close(struct h_vm *h)
{
	vm_range_remove(h->ctl);
	for (int i = 0; i < h->ncpu; i++)
		vm_vcpu_close(h->cpu[i].vcpu);
	vm_close(h->ctx);
	sem_destroy(&h->reported);
	sem_destroy(&h->acked);
	free(h);
}

uint64_t
h_read(struct h_vm *h, vm_paddr_t gpa, unsigned size)
{
	uint64_t val = 0;

	OK(vm_gpa_read(h->ctx, gpa, &val, size));	/* both sides are little-endian */
	return (val);
}

void
h_write(struct h_vm *h, vm_paddr_t gpa, uint64_t val, unsigned size)
{
	OK(vm_gpa_write(h->ctx, gpa, &val, size));
}

void
h_param(struct h_vm *h, unsigned n, uint64_t val)
{
	h_write(h, h->a->params + 8 * n, val, 8);
}

uint64_t
h_result(struct h_vm *h, unsigned n)
{
	return (h_read(h, h->a->results + 8 * n, h->a->arch == VM_ARCH_AMD64 ? 4 : 8));
}

bool
h_is_exit_byte(const struct h_arch *a, const struct vm_exit *exit)
{
	if (a->exit.space == VM_SPACE_IO)
		return (exit->code == VM_EXIT_IO && exit->u.io.write && exit->u.io.port == a->exit.addr);
	return (exit->code == VM_EXIT_MMIO && exit->u.mmio.write && exit->u.mmio.gpa == a->exit.addr);
}

const char *
h_exit_str(const struct vm_exit *exit, char *buf, size_t len)
{
	static const char *const names[VM_EXIT_LAST] = {
		[VM_EXIT_NONE] = "none", [VM_EXIT_MMIO] = "mmio", [VM_EXIT_IO] = "io", [VM_EXIT_HALT] = "halt",
		[VM_EXIT_PAUSE] = "pause", [VM_EXIT_KICKED] = "kicked", [VM_EXIT_SUSPENDED] = "suspended",
		[VM_EXIT_SYSREG] = "sysreg", [VM_EXIT_HYPERCALL] = "hypercall", [VM_EXIT_DEBUG] = "debug",
		[VM_EXIT_ERROR] = "error",
	};
	const char *name = exit->code < VM_EXIT_LAST ? names[exit->code] : "?";
	int n = snprintf(buf, len, "%s at 0x%" PRIx64, name, exit->pc);

	if (n < 0 || (size_t)n >= len)
		return (buf);
	buf += n;
	len -= (size_t)n;
	switch (exit->code) {
	case VM_EXIT_MMIO:
		snprintf(buf, len, " %s 0x%" PRIx64 " size %u data 0x%" PRIx64, exit->u.mmio.write ? "write" : "read",
		    exit->u.mmio.gpa, exit->u.mmio.size, exit->u.mmio.data);
		break;
	case VM_EXIT_IO:
		snprintf(buf, len, " %s 0x%x size %u data 0x%" PRIx64, exit->u.io.write ? "write" : "read",
		    exit->u.io.port, exit->u.io.size, exit->u.io.data);
		break;
	case VM_EXIT_SUSPENDED:
		snprintf(buf, len, " how %d", exit->u.suspended.how);
		break;
	case VM_EXIT_SYSREG:
		snprintf(buf, len, " %s 0x%" PRIx64, exit->u.sysreg.write ? "write" : "read", exit->u.sysreg.reg);
		break;
	case VM_EXIT_HYPERCALL:
		snprintf(buf, len, " func 0x%" PRIx64, exit->u.hypercall.func);
		break;
	case VM_EXIT_ERROR:
		snprintf(buf, len, " errno %d detail 0x%" PRIx64 ": %s", exit->u.error.error, exit->u.error.detail,
		    vm_errmsg());
		break;
	default:
		break;
	}
	return (buf - n);
}

/*
 * With turns by instructions, a vCPU whose thread is gone would be waited for: let it reach the halt behind its exit byte.  The last one
 * ends all.
 */
static void
linger(struct h_cpu *cpu)
{
	struct h_vm *h = cpu->h;
	struct vm_exit exit;
	char buf[256];

	if (atomic_fetch_add(&h->nfinished, 1) == h->ncpu - 1)
		OK(vm_suspend(h->ctx, VM_SUSPEND_POWEROFF));
	OK(vm_run(cpu->vcpu, &exit));
	CHECKF(exit.code == VM_EXIT_SUSPENDED, "vcpu %d: exit %s after its end", cpu->id,
	    h_exit_str(&exit, buf, sizeof(buf)));
}

bool
h_run(struct h_cpu *cpu)
{
	struct h_vm *h = cpu->h;
	char buf[256];

	for (;;) {
		CHECKF(vm_run(cpu->vcpu, &cpu->exit) == 0, "vcpu %d: vm_run: %s (errno %d)", cpu->id, vm_errmsg(),
		    errno);
		if (h_is_exit_byte(h->a, &cpu->exit)) {
			atomic_store(&cpu->finished, true);
			if (h->linger)
				linger(cpu);
			return (true);
		}
		cpu->nexits++;
		if (h->on_exit == NULL || cpu->exit.code == VM_EXIT_ERROR)
			FAIL("vcpu %d: unexpected exit %s", cpu->id, h_exit_str(&cpu->exit, buf, sizeof(buf)));
		if (!h->on_exit(cpu, &cpu->exit))
			return (false);
	}
}

static void *
cpu_thread(void *arg)
{
	struct h_cpu *cpu = arg;

	h_run(cpu);
	return (NULL);
}

void
h_start(struct h_vm *h)
{
	OK(vm_start(h->ctx));
	for (int i = 0; i < h->ncpu; i++) {
		CHECK_EQ(pthread_create(&h->cpu[i].thread, NULL, cpu_thread, &h->cpu[i]), 0);
		h->cpu[i].started = true;
	}
}

void
h_join(struct h_vm *h)
{
	for (int i = 0; i < h->ncpu; i++) {
		if (h->cpu[i].started)
			CHECK_EQ(pthread_join(h->cpu[i].thread, NULL), 0);
		h->cpu[i].started = false;
	}
}

/* What agent.S is told: switch the local APIC on, take an interrupt of vector 0x60, read the in-service bits of 0x60 to 0x7f. */
const char *
h_no_in_service(const struct h_target *t)
{
	static const uint32_t script[] = { 1, 0xfee000f0, 0x1ff, 5, 2, 0xfee00130 };
	const struct h_opts o = { .no_control = true };
	struct h_vm *h;
	struct h_cpu *cpu;
	uint32_t report[2] = { 0, 0 };
	unsigned next = 0, reports = 0;

	if (t->arch != VM_ARCH_AMD64 || t->accel != VM_ACCEL_KVM)
		return (NULL);
	h = h_open(t, "agent", &o);
	cpu = &h->cpu[0];
	while (reports < 2) {
		OK(vm_run(cpu->vcpu, &cpu->exit));
		CHECK_EQ(cpu->exit.code, VM_EXIT_IO);
		if (cpu->exit.u.io.write) {
			report[reports++] = (uint32_t)cpu->exit.u.io.data;
		} else if (cpu->exit.u.io.port == h->a->ctl.addr) {
			CHECK(next < sizeof(script) / sizeof(script[0]));
			if (script[next] == 5)
				OK(vm_raise_msi(h->ctx, 0xfee00000, 0x60, 0, 0, 0));
			OK(vm_exit_reply(cpu->vcpu, script[next++]));
		}
	}
	CHECK_EQ(report[0], 0x60);
	h_close(h);
	return ((report[1] & 1) != 0 ? NULL :
	    "this /dev/kvm's local APIC ends interrupts as it delivers them: there is none in service");
}

void
h_wait(sem_t *sem, const char *what)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += 60;
	while (sem_timedwait(sem, &ts) != 0) {
		if (errno != EINTR)
			FAIL("waited a minute for %s", what);
	}
}

uint32_t
h_work_hash(uint32_t rounds)
{
	uint32_t hash = 5381, table[16] = { 0 };

	for (uint32_t i = 0; i < rounds; i++) {
		hash = hash * 33 + i;
		table[i % 16] ^= hash;
		hash += table[(i + 5) % 16];
	}
	return (hash);
}

void
h_nap(void)
{
	const struct timespec ts = { .tv_nsec = 1000000 };

	nanosleep(&ts, NULL);
}

/*
 * GICv3 distributor and redistributor registers (GICv3 12.9, 12.11): what a private (16 to 31) or shared (32 to 127) interrupt
 * needs to reach CPU 0 at group 1.
 */
unsigned
h_gic_stores(unsigned intid, bool level, bool enabled, struct h_store *s)
{
	uint64_t base = intid < 32 ? H_GICR + 0x10000 : H_GICD;
	uint64_t word = base + 4 * (intid / 32), bit = 1U << intid % 32;
	unsigned n = 0;

	CHECK(intid >= 16 && intid < 128);
	s[n++] = (struct h_store){ H_GICD, 0x13 };		/* CTLR: affinity routing, both groups */
	s[n++] = (struct h_store){ word + 0x180, bit };		/* ICENABLER: while it is changed */
	s[n++] = (struct h_store){ word + 0x80, 0xffffffff };	/* IGROUPR */
	s[n++] = (struct h_store){ base + 0x400 + (intid & ~3U), 0xa0a0a0a0 };
	if (intid >= 32) {
		/* ICFGR: two bits each; the neighbours, which no test uses with another trigger, get the same. */
		s[n++] = (struct h_store){ base + 0xc00 + 4 * (intid / 16), level ? 0 : 0xaaaaaaaa };
		s[n++] = (struct h_store){ base + 0x6000 + 8 * intid, 0 };	/* IROUTER */
		s[n++] = (struct h_store){ base + 0x6000 + 8 * intid + 4, 0 };
	}
	if (enabled)
		s[n++] = (struct h_store){ word + 0x100, bit };	/* ISENABLER */
	return (n);
}

void
h_gic_setup(struct h_vm *h, unsigned intid, bool level)
{
	struct h_store s[16];
	unsigned n = h_gic_stores(intid, level, true, s);
	vm_paddr_t at = h->a->params + 0x1000;	/* STORES */

	while (h_read(h, at, 8) != 0)
		at += 16;
	for (unsigned i = 0; i < n; i++, at += 16) {
		h_write(h, at, s[i].addr, 8);
		h_write(h, at + 8, s[i].val, 8);
	}
}
