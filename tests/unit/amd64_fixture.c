/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * amd64_fixture.c - see amd64_fixture.h.
 */
#include "amd64_fixture.h"

#define	PORT_END	0xf4
#define	PORT_PROBE	0xec
#define	PORT_STUB	0xee
#define	PORT_STUB16	0xed

static const char *
what(const struct mach *m)
{
	return (m->what != NULL ? m->what : "");
}

void
m_set(struct mach *m, int reg, uint64_t val)
{
	CHECKF(vm_set_register(m->cpu, reg, val) == 0, "%s: %s", what(m), vm_errmsg());
}

uint64_t
m_get(struct mach *m, int reg)
{
	uint64_t val;

	CHECKF(vm_get_register(m->cpu, reg, &val) == 0, "%s: %s", what(m), vm_errmsg());
	return (val);
}

void
m_desc(struct mach *m, int reg, uint16_t sel, uint64_t base, uint32_t limit, uint32_t access)
{
	CHECKF(vm_set_desc(m->cpu, reg, base, limit, access) == 0, "%s", vm_errmsg());
	if (reg != VM_AMD64_REG_GDTR && reg != VM_AMD64_REG_IDTR)
		m_set(m, reg, sel);
}

static void
get_desc(struct mach *m, int reg, uint64_t *base, uint32_t *limit, uint32_t *access)
{
	CHECKF(vm_get_desc(m->cpu, reg, base, limit, access) == 0, "%s", vm_errmsg());
}

uint64_t
m_seg_base(struct mach *m, int reg)
{
	uint32_t limit, access;
	uint64_t base;

	get_desc(m, reg, &base, &limit, &access);
	return (base);
}

uint32_t
m_seg_limit(struct mach *m, int reg)
{
	uint32_t limit, access;
	uint64_t base;

	get_desc(m, reg, &base, &limit, &access);
	return (limit);
}

uint32_t
m_seg_access(struct mach *m, int reg)
{
	uint32_t limit, access;
	uint64_t base;

	get_desc(m, reg, &base, &limit, &access);
	return (access);
}

/* Memory */

void
m_bytes(struct mach *m, uint64_t gpa, const void *bytes, size_t len)
{
	CHECKF(vm_gpa_write(m->vm, gpa, bytes, len) == 0, "%s", vm_errmsg());
}

void
m_fill(struct mach *m, uint64_t gpa, uint8_t byte, size_t len)
{
	uint8_t *buf = malloc(len);

	CHECK(buf != NULL);
	memset(buf, byte, len);
	m_bytes(m, gpa, buf, len);
	free(buf);
}

void
m_poke(struct mach *m, uint64_t gpa, uint64_t val, unsigned size)
{
	m_bytes(m, gpa, &val, size);
}

uint64_t
m_peek(struct mach *m, uint64_t gpa, unsigned size)
{
	uint64_t val = 0;

	CHECKF(vm_gpa_read(m->vm, gpa, &val, size) == 0, "%s", vm_errmsg());
	return (val);
}

/* Descriptors and page tables */

uint64_t
m_segdesc(uint32_t base, uint32_t limit, unsigned access, unsigned flags)
{
	return ((limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)access << 40 |
	    (uint64_t)(limit >> 16 & 15) << 48 | (uint64_t)flags << 52 | (uint64_t)(base >> 24) << 56);
}

void
m_gdt(struct mach *m, unsigned sel, uint64_t desc)
{
	m_poke(m, GDT + (sel & ~7U), desc, 8);
}

static bool
is_long(const struct mach *m)
{
	return (m->mode >= LM64);
}

/* The first 8 bytes of a gate; long mode's have the upper half of the offset behind them. */
static uint64_t
gate(unsigned type, unsigned dpl, uint16_t sel, uint64_t off, unsigned third)
{
	return ((off & 0xffff) | (uint64_t)sel << 16 | (uint64_t)third << 32 |
	    (uint64_t)(0x80 | dpl << 5 | type) << 40 | (off >> 16 & 0xffff) << 48);
}

void
m_gate(struct mach *m, unsigned vec, unsigned type, unsigned dpl, uint16_t sel, uint64_t off,
    unsigned ist)
{
	uint64_t lo = gate(type, dpl, sel, off, ist);

	if (is_long(m)) {
		m_poke(m, IDT + 16 * vec, lo, 8);
		m_poke(m, IDT + 16 * vec + 8, off >> 32, 8);
	} else
		m_poke(m, IDT + 8 * vec, lo, 8);
}

void
m_callgate(struct mach *m, unsigned sel, unsigned type, unsigned dpl, uint16_t to, uint64_t off,
    unsigned params)
{
	m_gdt(m, sel, gate(type, dpl, to, off, params));
	if (is_long(m))
		m_gdt(m, sel + 8, off >> 32);
}

uint64_t
m_pte_at(struct mach *m, uint64_t lin)
{
	return (m->mode == PG32 || m->mode == V86 ? PT32 + 4 * (lin >> 12) : PT + 8 * (lin >> 12));
}

void
m_pte(struct mach *m, uint64_t lin, uint64_t val)
{
	m_poke(m, m_pte_at(m, lin), val, m->mode == PG32 || m->mode == V86 ? 4 : 8);
}

uint64_t
m_pte_get(struct mach *m, uint64_t lin)
{
	return (m_peek(m, m_pte_at(m, lin), m->mode == PG32 || m->mode == V86 ? 4 : 8));
}

static void
page_tables(struct mach *m)
{
	uint64_t pd[512], pt[512];
	uint32_t pd32[1024], pt32[1024];

	for (unsigned i = 0; i < 512; i++) {
		pt[i] = (uint64_t)i << 12 | PG_ALL;
		pd[i] = (uint64_t)i << 21 | PG_ALL | PG_PS;
	}
	pd[0] = PT | PG_ALL;
	m_bytes(m, PT, pt, sizeof(pt));
	m_bytes(m, PD, pd, sizeof(pd));
	m_fill(m, PML4, 0, 0x2000);
	m_poke(m, PML4, PDPT | PG_ALL, 8);
	m_poke(m, PDPT, PD | PG_ALL, 8);
	m_fill(m, PAEPDPT, 0, 0x1000);
	m_poke(m, PAEPDPT, PD | PG_P, 8);
	for (unsigned i = 0; i < 1024; i++) {
		pt32[i] = i << 12 | (uint32_t)PG_ALL;
		pd32[i] = i << 22 | (uint32_t)(PG_ALL | PG_PS);
	}
	pd32[0] = PT32 | (uint32_t)PG_ALL;
	m_bytes(m, PT32, pt32, sizeof(pt32));
	m_bytes(m, PD32, pd32, sizeof(pd32));
}

static void
descriptors(struct mach *m)
{
	static const struct {
		uint16_t sel;
		uint32_t base, limit;
		uint8_t access, flags;
	} segs[] = {
		{ S_CODE64, 0, 0xfffff, 0x9b, 0xa },
		{ S_DATA, 0, 0xfffff, 0x93, 0xc },
		{ S_CODE32, 0, 0xfffff, 0x9b, 0xc },
		{ S_CODE16, CODE, 0xffff, 0x9b, 0 },
		{ S_DATA16, 0x28000, 0xffff, 0x93, 0 },
		{ U_CODE32, 0, 0xfffff, 0xfb, 0xc },
		{ U_DATA, 0, 0xfffff, 0xf3, 0xc },
		{ U_CODE64, 0, 0xfffff, 0xfb, 0xa },
		{ S_LDT, LDT, 0xfff, 0x82, 0 },
		{ S_CODE_1, 0, 0xfffff, 0xbb, 0xc },
		{ S_DATA_1, 0, 0xfffff, 0xb3, 0xc },
		{ S_CODE_2, 0, 0xfffff, 0xdb, 0xc },
		{ S_DATA_2, 0, 0xfffff, 0xd3, 0xc },
		{ S_CONF, 0, 0xfffff, 0x9f, 0xc },
		{ S_NPDATA, 0, 0xfffff, 0x13, 0xc },
		{ S_RODATA, 0, 0xfffff, 0x91, 0xc },
		{ S_XOCODE, 0, 0xfffff, 0x99, 0xc },
		{ S_EXPDOWN, 0, 0xff, 0x97, 0xc },
		{ S_CONF64, 0, 0xfffff, 0x9f, 0xa },
		{ U_CODE16, CODE, 0xffff, 0xfb, 0 },
		{ S_NPCODE, 0, 0xfffff, 0x1b, 0xc },
		{ S_TSS2, TSS2, 0x67, 0x89, 0 },
		{ S_TSS3, TSS3, 0x67, 0x89, 0 },
	};

	m_fill(m, GDT, 0, 0x2000);		/* and the LDT */
	for (size_t i = 0; i < sizeof(segs) / sizeof(segs[0]); i++)
		m_gdt(m, segs[i].sel, m_segdesc(segs[i].base, segs[i].limit, segs[i].access,
		    segs[i].flags));
	m_gdt(m, S_TSS, m_segdesc(TSS, TSS_LIMIT, 0x8b, 0));
	m_gdt(m, S_TSS + 8, 0);
}

/* Handlers, which drop the error code their vector has. */
static bool
pushes_error(unsigned vec)
{
	return (vec == DF || (vec >= TS && vec <= PF) || vec == AC);
}

static void
handlers(struct mach *m)
{
	static const uint8_t stub16[] = { 0xe6, PORT_STUB16, 0xcf, 0x90 };
	static const uint8_t stub32[2][6] = {
		{ 0xe6, PORT_STUB, 0xcf }, { 0xe6, PORT_STUB, 0x83, 0xc4, 4, 0xcf }
	};
	static const uint8_t stub64[2][8] = {
		{ 0xe6, PORT_STUB, 0x48, 0xcf },
		{ 0xe6, PORT_STUB, 0x48, 0x83, 0xc4, 8, 0x48, 0xcf }
	};
	uint32_t ivt[256];
	uint8_t stubs16[256][sizeof(stub16)], stubs[256][16] = { { 0 } };
	uint64_t idt[512] = { 0 };
	unsigned words = is_long(m) ? 2 : 1;

	/* A table at a time: where write sections are checked, each write costs a mapping. */
	for (unsigned v = 0; v < 256; v++) {
		bool err = pushes_error(v);

		ivt[v] = 4 * v | (STUBS16 >> 4) << 16;
		memcpy(stubs16[v], stub16, sizeof(stub16));
		if (is_long(m))
			memcpy(stubs[v], stub64[err], sizeof(stub64[err]));
		else
			memcpy(stubs[v], stub32[err], sizeof(stub32[err]));
		idt[words * v] = gate(14, v == BP || v == OF || v == 0x80 ? 3 : 0, is_long(m) ? S_CODE64 : S_CODE32, STUBS + 16 * v, 0);
	}
	m_bytes(m, IVT, ivt, sizeof(ivt));
	m_bytes(m, STUBS16, stubs16, sizeof(stubs16));
	m_bytes(m, STUBS, stubs, sizeof(stubs));
	m_bytes(m, IDT, idt, 256 * words * 8);
}

static void
task_state(struct mach *m)
{
	m_fill(m, TSS, 0, 0x2000);
	if (is_long(m)) {
		m_poke(m, TSS + 4, KSTACK, 8);
		m_poke(m, TSS + 12, STACK1, 8);
		m_poke(m, TSS + 20, STACK2, 8);
		m_poke(m, TSS + 36, IST1, 8);
		m_poke(m, TSS + 44, IST2, 8);
	} else {
		m_poke(m, TSS + 4, KSTACK, 4);
		m_poke(m, TSS + 8, S_DATA, 2);
		m_poke(m, TSS + 12, STACK1, 4);
		m_poke(m, TSS + 16, S_DATA_1, 2);
		m_poke(m, TSS + 20, STACK2, 4);
		m_poke(m, TSS + 24, S_DATA_2, 2);
	}
	m_poke(m, TSS + 0x66, TSS_IOMAP - TSS, 2);
	m_fill(m, TSS_IOMAP, 0xff, 0x2001);
	m_poke(m, TSS_IOMAP + PORT_END / 8, 0xff & ~(1U << PORT_END % 8), 1);
	m_poke(m, TSS_IOMAP + PORT_PROBE / 8, 0xff & ~(1U << PORT_PROBE % 8), 1);
}

/* Modes */

static const int data_regs[] = {
	VM_AMD64_REG_DS, VM_AMD64_REG_ES, VM_AMD64_REG_FS, VM_AMD64_REG_GS,
};

static void
real_segments(struct mach *m, bool v86)
{
	uint32_t data = v86 ? 0xf3 : 0x93;

	m_desc(m, VM_AMD64_REG_CS, CODE >> 4, CODE, 0xffff, v86 ? 0xf3 : 0x9b);
	for (size_t i = 0; i < 4; i++)
		m_desc(m, data_regs[i], DATA >> 4, DATA, 0xffff, data);
	if (v86)
		m_desc(m, VM_AMD64_REG_SS, (USTACK - 0x1000) >> 4, USTACK - 0x1000, 0xffff, data);
	else
		m_desc(m, VM_AMD64_REG_SS, (STACK0 - 0x1000) >> 4, STACK0 - 0x1000, 0xffff, data);
	SET(m, RSP, 0x1000);
}

static void
flat_segments(struct mach *m)
{
	static const uint16_t data[] = { S_DATA, S_DATA_1, S_DATA_2, U_DATA };
	uint32_t dpl = m->cpl << 5;

	for (size_t i = 0; i < 4; i++)
		m_desc(m, data_regs[i], data[m->cpl], 0, 0xffffffff, 0xc093 | dpl);
	m_desc(m, VM_AMD64_REG_SS, data[m->cpl], 0, 0xffffffff, 0xc093 | dpl);
	SET(m, RSP, m->cpl == 0 ? STACK0 : USTACK);
	switch (m->mode) {
	case LM64:
		m_desc(m, VM_AMD64_REG_CS, m->cpl == 0 ? S_CODE64 : U_CODE64, 0, 0xffffffff,
		    0xa09b | dpl);
		break;
	case PM16:
	case CM16:
		m_desc(m, VM_AMD64_REG_CS, m->cpl == 0 ? S_CODE16 : U_CODE16, CODE, 0xffff,
		    0x9b | dpl);
		if (m->cpl == 0) {
			m_desc(m, VM_AMD64_REG_SS, S_DATA16, 0x28000, 0xffff, 0x93);
			SET(m, RSP, STACK0 - 0x28000);
		}
		break;
	default: {
		static const uint16_t code[] = { S_CODE32, S_CODE_1, S_CODE_2, U_CODE32 };

		m_desc(m, VM_AMD64_REG_CS, code[m->cpl], 0, 0xffffffff, 0xc09b | dpl);
		break;
	    }
	}
}

void
m_mode(struct mach *m, enum mode mode, unsigned cpl)
{
	uint64_t cr0 = CR0_PE | 0x10 | CR0_NE;

	m->mode = mode;
	m->cpl = mode == V86 ? 3 : cpl;
	m->ip0 = mode == REAL || mode == V86 || mode == PM16 || mode == CM16 ? 0 : CODE;
	CHECKF(vm_vcpu_reset(m->cpu) == 0, "%s", vm_errmsg());
	SET(m, RUN_STATE, VM_AMD64_RUNNING);
	page_tables(m);
	descriptors(m);
	handlers(m);
	task_state(m);
	SET(m, RDX, 0);
	if (mode == REAL) {
		SET(m, CR0, 0x10 | CR0_NE);
		m_desc(m, VM_AMD64_REG_IDTR, 0, IVT, 0x3ff, 0);
		m_desc(m, VM_AMD64_REG_GDTR, 0, GDT, GDT_LIMIT, 0);
		real_segments(m, false);
		SET(m, RIP, 0);
		return;
	}
	m_desc(m, VM_AMD64_REG_GDTR, 0, GDT, GDT_LIMIT, 0);
	m_desc(m, VM_AMD64_REG_IDTR, 0, IDT, is_long(m) ? 0xfff : 0x7ff, 0);
	m_desc(m, VM_AMD64_REG_TR, S_TSS, TSS, TSS_LIMIT, 0x8b);
	m_desc(m, VM_AMD64_REG_LDTR, S_LDT, LDT, 0xfff, 0x82);
	switch (mode) {
	case V86:
	case PG32:
		SET(m, CR3, PD32);
		SET(m, CR4, CR4_PSE);
		cr0 |= CR0_PG;
		break;
	case PAE32:
		SET(m, CR3, PAEPDPT);
		SET(m, CR4, CR4_PAE);
		SET(m, PDPTE0, PD | PG_P);
		cr0 |= CR0_PG;
		break;
	case LM64:
	case CM32:
	case CM16:
		SET(m, CR3, PML4);
		SET(m, CR4, CR4_PAE);
		SET(m, EFER, EFER_LME | EFER_LMA);
		cr0 |= CR0_PG;
		break;
	default:
		break;
	}
	SET(m, CR0, cr0);
	if (mode == V86) {
		SET(m, RFLAGS, FL_VM | 2);
		real_segments(m, true);
	} else
		flat_segments(m);
	SET(m, RIP, m->ip0);
}

/* Life */

void
m_open_n(struct mach *m, unsigned n, const struct vm_spec *spec)
{
	memset(m, 0, sizeof(*m));
	m->vm = vm_new(spec);
	CHECKF(m->vm != NULL, "%s", vm_errmsg());
	CHECKF(vm_setup_memory(m->vm, MEMSIZE, VM_MMAP_ALL) == 0, "%s", vm_errmsg());
	for (unsigned i = n; i-- > 0;) {
		m->cpu = vm_vcpu_open(m->vm, (int)i);
		CHECKF(m->cpu != NULL, "%s", vm_errmsg());
	}
}

void
m_open(struct mach *m)
{
	const struct vm_spec spec = { .size = sizeof(spec), .arch = VM_ARCH_AMD64,
	    .accel = VM_ACCEL_SOFT };

	m_open_n(m, 1, &spec);
}

void
m_close(struct mach *m)
{
	vm_close(m->vm);
	m->vm = NULL;
}

/* Running */

void
m_run(struct mach *m)
{
	CHECKF(vm_run(m->cpu, &m->ex) == 0, "%s: %s", what(m), vm_errmsg());
}

static bool
is_out(const struct mach *m, unsigned port)
{
	return (m->ex.code == VM_EXIT_IO && m->ex.u.io.write && m->ex.u.io.port == port);
}

int
m_vector(struct mach *m)
{
	uint64_t rip = GET(m, RIP) - 2;

	if (is_out(m, PORT_STUB))
		return ((int)(rip - STUBS) / 16);
	if (is_out(m, PORT_STUB16))
		return ((int)rip / 4);
	return (-1);
}

static void fail(struct mach *m, const char *file, int line, const char *wanted)
    __attribute__((noreturn));

static void
fail(struct mach *m, const char *file, int line, const char *wanted)
{
	char got[100];
	int vec = m_vector(m);

	if (vec >= 0)
		snprintf(got, sizeof(got), "vector %d", vec);
	else if (is_out(m, PORT_END))
		snprintf(got, sizeof(got), "END");
	else
		snprintf(got, sizeof(got), "exit %d (%#llx)", m->ex.code,
		    (unsigned long long)m->ex.u.mmio.gpa);
	test_end_(TEST_FAILED_, "not ok", file, line,
	    "%s: %s wanted, %s, rip %#llx cs %#llx rsp %#llx flags %#llx cr2 %#llx, on the stack %#llx %#llx %#llx",
	    what(m), wanted, got, (unsigned long long)GET(m, RIP), (unsigned long long)GET(m, CS),
	    (unsigned long long)GET(m, RSP), (unsigned long long)GET(m, RFLAGS),
	    (unsigned long long)GET(m, CR2),
	    (unsigned long long)m_peek(m, GET(m, RSP) & 0xfffff, 8),
	    (unsigned long long)m_peek(m, (GET(m, RSP) & 0xfffff) + 8, 8),
	    (unsigned long long)m_peek(m, (GET(m, RSP) & 0xfffff) + 16, 8));
}

static void
read_frame(struct mach *m, bool err)
{
	struct frame *f = &m->f;
	bool is16 = is_out(m, PORT_STUB16), is64 = is_long(m);
	unsigned w = is16 ? 2 : is64 ? 8 : 4;
	uint64_t sp = GET(m, RSP), base = is64 ? 0 : m_seg_base(m, VM_AMD64_REG_SS);

	if ((m_seg_access(m, VM_AMD64_REG_SS) & VM_AMD64_SEG_DB) == 0 && !is64)
		sp &= 0xffff;
	f->at = base + sp;
	f->err = 0;
	if (err) {
		f->err = (uint32_t)m_peek(m, f->at, 4);
		f->at += w;
	}
	f->rip = m_peek(m, f->at, w);
	f->cs = (uint16_t)m_peek(m, f->at + w, 2);
	f->flags = m_peek(m, f->at + 2 * w, w);
	f->has_ss = is64 || (!is16 && ((f->flags & FL_VM) != 0 || (f->cs & 3) != (GET(m, CS) & 3)));
	f->rsp = f->has_ss ? m_peek(m, f->at + 3 * w, w) : 0;
	f->ss = f->has_ss ? (uint16_t)m_peek(m, f->at + 4 * w, 2) : 0;
	for (unsigned i = 0; i < 4; i++)
		f->seg86[i] = (f->flags & FL_VM) != 0 ? (uint16_t)m_peek(m,
		    f->at + (5 + i) * w, 2) : 0;
}

void
m_expect_(struct mach *m, unsigned vec, int64_t err, const char *file, int line)
{
	char wanted[40];

	m_run(m);
	snprintf(wanted, sizeof(wanted), "vector %u (%lld)", vec, (long long)err);
	if (m_vector(m) != (int)vec)
		fail(m, file, line, wanted);
	m->f.vec = vec;
	read_frame(m, err != NOERR);
	if (err >= 0 && m->f.err != (uint32_t)err)
		fail(m, file, line, wanted);
}

void
m_end_(struct mach *m, const char *file, int line)
{
	m_run(m);
	if (!is_out(m, PORT_END))
		fail(m, file, line, "END");
}

void
m_probe_(struct mach *m, const char *file, int line)
{
	m_run(m);
	if (!is_out(m, PORT_PROBE))
		fail(m, file, line, "PROBE");
}

void
m_shutdown_(struct mach *m, const char *file, int line)
{
	m_run(m);
	if (m->ex.code != VM_EXIT_SUSPENDED || m->ex.u.suspended.how != VM_SUSPEND_TRIPLEFAULT)
		fail(m, file, line, "triple fault");
}

void
m_return_to(struct mach *m, uint64_t rip)
{
	m_poke(m, m->f.at, rip, is_out(m, PORT_STUB16) ? 2 : is_long(m) ? 8 : 4);
}

uint32_t
m_cpuid(struct mach *m, uint32_t leaf, uint32_t subleaf, char reg)
{
	m_mode(m, PM32, 0);
	ASM(m, 32, "cpuid");
	SET(m, RAX, leaf);
	SET(m, RCX, subleaf);
	m_end(m);
	switch (reg) {
	case 'a':
		return ((uint32_t)GET(m, RAX));
	case 'b':
		return ((uint32_t)GET(m, RBX));
	case 'c':
		return ((uint32_t)GET(m, RCX));
	default:
		return ((uint32_t)GET(m, RDX));
	}
}
