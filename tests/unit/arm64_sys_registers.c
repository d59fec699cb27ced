/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * System registers of the soft arm64 processor: what they are, what they keep, who may use them (Arm ARM D13, D12.3).
 */
#include "arm64_fixture.h"

static uint64_t
read_reg(uint32_t mrs)
{
	org(CODE);
	emit(mrs);
	end();
	run(1);
	CHECKF(ended(), "0x%08x: esr 0x%llx", mrs, (unsigned long long)esr());
	return (get(X(0)));
}

TEST(id_registers_are_the_models)
{
	static const struct {
		uint32_t mrs;
		uint64_t want;
	} t[] = {
		{ MRS(0, 3, 0, 0, 0, 0), 0x000f0010 },			/* MIDR */
		{ MRS(0, 3, 0, 0, 0, 5), 0x80000000 },			/* MPIDR */
		{ MRS(0, 3, 0, 0, 4, 0), 0x1300000001000011 },		/* PFR0: CSV3, CSV2_3, GIC, FP, AArch64 EL1 and EL0 */
		{ MRS(0, 3, 0, 0, 4, 1), 0 },				/* PFR1 */
		{ MRS(0, 3, 0, 0, 5, 0), 0x0000000000305006 },		/* DFR0: 6 breakpoints, 4 watchpoints, no PMU */
		{ MRS(0, 3, 0, 0, 6, 0), 0x0000000000211120 },		/* ISAR0: LSE, CRC32, SHA2, SHA1, AES with PMULL */
		{ MRS(0, 3, 0, 0, 6, 1), 0 },
		{ MRS(0, 3, 0, 0, 7, 0), 0x0000000000100022 },		/* MMFR0 */
		{ MRS(0, 3, 0, 0, 7, 1), 0 },
		{ MRS(0, 3, 0, 0, 7, 2), 0x1000000000000000 },		/* MMFR2: E0PD */
		{ MRS(0, 3, 0, 0, 1, 0), 0 },				/* AArch32 is not there */
		{ MRS(0, 3, 0, 0, 3, 7), 0 },				/* reserved: reads as zero */
		{ MRS(0, 3, 3, 0, 0, 1), 0xb444c004 },			/* CTR */
		{ MRS(0, 3, 3, 0, 0, 7), 4 },				/* DCZID: 64 bytes */
	};

	new_vm(1);
	for (size_t i = 0; i < nitems(t); i++)
		CHECKF(read_reg(t[i].mrs) == t[i].want, "%zu: 0x%llx", i, (unsigned long long)get(X(0)));
	vm_close(vm);
}

TEST(a_model_with_less)
{
	new_vm(1);
	CHECK_EQ(vm_set_cpu_model(vm, "v8.0-base"), 0);
	CHECK_EQ(read_reg(MRS(0, 3, 0, 0, 6, 0)), 0x10000);
	/* Its LSE instructions are undefined: ldadd x1, x2, [x3] */
	org(CODE);
	emit(0xf8210062);
	end();
	run(1);
	CHECK_EQ(EC(esr()), EC_UNKNOWN);
	vm_close(vm);
}

/* The model that moves anywhere promises nothing that a host may lack: no atomics, no mitigation, no DC ZVA, caches that are maintained. */
TEST(a_model_that_moves)
{
	new_vm(1);
	CHECK_EQ(vm_set_cpu_model(vm, "baseline"), 0);
	CHECK_EQ(read_reg(MRS(0, 3, 0, 0, 4, 0)), 0x1000011);
	CHECK_EQ(read_reg(MRS(0, 3, 0, 0, 5, 0)), 0x101006);
	CHECK_EQ(read_reg(MRS(0, 3, 0, 0, 6, 0)), 0);
	CHECK_EQ(read_reg(MRS(0, 3, 3, 0, 0, 1)), 0x84448004);
	CHECK_EQ(read_reg(MRS(0, 3, 3, 0, 0, 7)), 0x14);
	vm_close(vm);
}

/* Take over a VM that is as this one, but for one byte of a field; 0, or errno. */
static int
load_changed(const char *field, size_t off, uint8_t val)
{
	struct vm_state_out *out = vm_state_out_open();
	struct vcpu *v;
	struct vm_state_in *in;
	const void *data;
	size_t len;
	int error;

	new_vm(1);
	CHECK((v = vm_vcpu_open(vm, 0)) != NULL);
	CHECKF(vm_vcpu_field_set(v, field, off, &val, 1) == 0, "%s", vm_errmsg());
	CHECKF(vm_start(vm) == 0 && vm_state_save(vm, out) == 0, "%s", vm_errmsg());
	CHECK((data = vm_state_out_data(out, &len)) != NULL);
	vm_close(vm);
	new_vm(1);
	CHECK((in = vm_state_in_open(data, len)) != NULL);
	error = vm_state_load(vm, in) == 0 ? 0 : errno;
	vm_state_in_close(in);
	vm_state_out_close(out);
	vm_close(vm);
	return (error);
}

/* A guest that found more than there is here is not taken over, and the register is named; one that found less, or other lines, is. */
TEST(a_processor_with_more)
{
	CHECK_EQ(load_changed("id", 8 * ARM64_ID_AA64ISAR0 + 7, 0x10), ENOTSUP);	/* RNDR */
	CHECKF(strstr(vm_errmsg(), "ID_AA64ISAR0_EL1") != NULL && strstr(vm_errmsg(), "bits 60") != NULL, "%s", vm_errmsg());
	CHECK_EQ(load_changed("id", 8 * ARM64_ID_AA64MMFR1 + 2, 0x10), ENOTSUP);	/* PAN */
	CHECKF(strstr(vm_errmsg(), "ID_AA64MMFR1_EL1") != NULL, "%s", vm_errmsg());
	CHECK_EQ(load_changed("id", 8 * ARM64_ID_AA64PFR0 + 2, 0x11), ENOTSUP);		/* half precision */
	CHECK_EQ(load_changed("ctr_el0", 0, 5), ENOTSUP);				/* lines of 128 bytes */
	CHECKF(strstr(vm_errmsg(), "CTR_EL0") != NULL, "%s", vm_errmsg());
	CHECK_EQ(load_changed("dczid_el0", 0, 5), ENOTSUP);
	CHECKF(strstr(vm_errmsg(), "DCZID_EL0") != NULL, "%s", vm_errmsg());
	CHECK_EQ(load_changed("id", 8 * ARM64_ID_AA64ISAR0, 0), 0);
	CHECK_EQ(load_changed("id", 8 * ARM64_ID_AA64PFR0 + 2, 0xff), 0);		/* no floating point */
	CHECK_EQ(load_changed("id", 8 * ARM64_ID(1, 0), 0x31), 0);			/* of AArch32, which there is not */
	CHECK_EQ(load_changed("dczid_el0", 0, 0x15), 0);				/* prohibited, whatever its size */
}

TEST(caches_describe_themselves)
{
	new_vm(1);
	CHECK_EQ(read_reg(MRS(0, 3, 1, 0, 0, 1)), 0x02000023);		/* CLIDR: I and D, unified */
	for (unsigned sel = 0; sel < 4; sel++) {
		static const uint64_t size[] = { 32 << 10, 32 << 10, 1 << 20, 0 };
		uint64_t v;

		org(CODE);
		mov(1, sel);
		emit(MSR(1, 3, 2, 0, 0, 0));
		emit(MRS(0, 3, 1, 0, 0, 0));
		end();
		run(1);
		CHECK(ended());
		v = get(X(0));
		if (size[sel] == 0)
			CHECK_EQ(v, 0);
		else
			CHECK_EQ(((v >> 13 & 0x7fff) + 1) * ((v >> 3 & 0x3ff) + 1) << ((v & 7) + 4), size[sel]);
	}
	vm_close(vm);
}

TEST(registers_keep_what_they_have)
{
	/* Written with ones, then with zeros. */
	static const struct {
		uint8_t r[5];
		uint64_t ones, zeros;
	} t[] = {
		{ { 3, 0, 1, 0, 1 }, 0, 0 },				/* ACTLR */
		{ { 3, 0, 1, 0, 2 }, 0x300000, 0 },			/* CPACR */
		{ { 3, 0, 2, 0, 0 }, UINT64_MAX, 0 },			/* TTBR0 */
		{ { 3, 0, 2, 0, 2 }, 0x01800077ffffffbf, 0 },		/* TCR */
		{ { 3, 0, 4, 0, 0 }, UINT32_MAX, 0 },			/* SPSR */
		{ { 3, 0, 4, 0, 1 }, UINT64_MAX, 0 },			/* ELR */
		{ { 3, 0, 4, 1, 0 }, UINT64_MAX, 0 },			/* SP_EL0 */
		{ { 3, 0, 5, 1, 0 }, 0, 0 },				/* AFSR0 */
		{ { 3, 0, 5, 2, 0 }, UINT32_MAX, 0 },			/* ESR */
		{ { 3, 0, 6, 0, 0 }, UINT64_MAX, 0 },			/* FAR */
		{ { 3, 0, 7, 4, 0 }, UINT64_MAX, 0 },			/* PAR */
		{ { 3, 0, 10, 2, 0 }, UINT64_MAX, 0 },			/* MAIR */
		{ { 3, 0, 10, 3, 0 }, 0, 0 },				/* AMAIR */
		{ { 3, 0, 13, 0, 1 }, UINT32_MAX, 0 },			/* CONTEXTIDR */
		{ { 3, 0, 13, 0, 4 }, UINT64_MAX, 0 },			/* TPIDR_EL1 */
		{ { 3, 0, 13, 0, 7 }, UINT64_MAX, 0 },			/* SCXTNUM_EL1 */
		{ { 3, 0, 14, 1, 0 }, 0x3ff, 0 },			/* CNTKCTL */
		{ { 3, 2, 0, 0, 0 }, 0xf, 0 },				/* CSSELR */
		{ { 3, 3, 4, 4, 0 }, 0x07c00000, 0 },			/* FPCR */
		{ { 3, 3, 4, 4, 1 }, 0x0800009f, 0 },			/* FPSR */
		{ { 3, 3, 14, 3, 2 }, UINT64_MAX, 0 },			/* CNTV_CVAL */
		{ { 2, 0, 0, 0, 4 }, UINT64_MAX, 0 },			/* DBGBVR0 */
		{ { 2, 0, 0, 5, 5 }, 0x00ffe1e7, 0 },			/* DBGBCR5 */
		{ { 2, 0, 0, 3, 6 }, ~3ULL, 0 },			/* DBGWVR3 */
		{ { 2, 0, 0, 3, 7 }, 0x1f1fffff, 0 },			/* DBGWCR3 */
		{ { 2, 0, 1, 3, 4 }, 1, 0 },				/* OSDLR */
		{ { 2, 0, 7, 8, 6 }, 0xff, 0xff },			/* DBGCLAIMSET */
	};

	new_vm(1);
	/* SCTLR alone, as its bits take effect: what is RES1 stays, E0E and EE do not come. */
	org(CODE);
	mov(1, 0x03000000);
	emit(MSR(1, 3, 0, 1, 0, 0));
	emit(ISB);
	emit(MRS(0, 3, 0, 1, 0, 0));
	end();
	run(1);
	CHECK_EQ(get(X(0)), SCTLR_RES1 & ~0x100000U);
	for (size_t i = 0; i < nitems(t); i++) {
		const uint8_t *r = t[i].r;

		org(CODE);
		mov(1, UINT64_MAX);
		emit(MSR(1, r[0], r[1], r[2], r[3], r[4]));
		emit(MRS(0, r[0], r[1], r[2], r[3], r[4]));
		emit(MSR(31, r[0], r[1], r[2], r[3], r[4]));
		emit(MRS(2, r[0], r[1], r[2], r[3], r[4]));
		mov(1, 3U << 20);
		emit(MSR(1, 3, 0, 1, 0, 2));
		end();
		run(1);
		CHECKF(ended(), "%zu: esr 0x%llx", i, (unsigned long long)esr());
		CHECKF(get(X(0)) == t[i].ones, "%zu: 0x%llx", i, (unsigned long long)get(X(0)));
		CHECKF(get(X(2)) == t[i].zeros, "%zu: 0x%llx", i, (unsigned long long)get(X(2)));
	}
	vm_close(vm);
}

TEST(what_is_not_there_is_undefined)
{
	static const uint32_t words[] = {
		MSR(0, 3, 0, 0, 0, 0),		/* MIDR is read-only */
		MSR(0, 3, 0, 0, 4, 0),		/* so is the ID space */
		MRS(0, 3, 0, 0, 8, 0),		/* beyond it */
		MRS(0, 3, 3, 9, 12, 0),		/* PMCR_EL0: no PMU */
		MRS(0, 3, 3, 9, 13, 0),		/* PMCCNTR_EL0 */
		MRS(0, 3, 0, 9, 14, 1),		/* PMINTENSET_EL1 */
		MRS(0, 3, 0, 4, 2, 3),		/* PAN */
		MRS(0, 3, 0, 4, 2, 4),		/* UAO */
		MRS(0, 3, 4, 1, 0, 0),		/* SCTLR_EL2 */
		MRS(0, 3, 6, 1, 0, 0),		/* SCTLR_EL3 */
		MRS(0, 3, 0, 2, 1, 0),		/* APIAKeyLo_EL1 */
		MRS(0, 2, 0, 0, 6, 4),		/* DBGBVR6 */
		MRS(0, 2, 0, 0, 4, 6),		/* DBGWVR4 */
		MRS(0, 2, 0, 1, 0, 4),		/* OSLAR is write-only */
		MSR(0, 2, 0, 1, 1, 4),		/* OSLSR is read-only */
		MSR(0, 3, 3, 14, 0, 0),		/* CNTFRQ */
		MSR(0, 3, 3, 14, 0, 2),		/* CNTVCT */
		SYS(0, 8, 1, 0, 31),		/* TLBI VMALLE1OS */
		SYS(0, 8, 2, 1, 0),		/* TLBI RVAE1IS */
		SYS(4, 8, 7, 0, 31),		/* TLBI of EL2 */
		SYS(3, 7, 12, 1, 0),		/* DC CVAP */
		SYSWORD(1, 1, 0, 7, 8, 0, 0),	/* SYSL */
		0xd4000003,			/* SMC #0 */
		0xd4400000,			/* HLT #0 */
		0xd4a00001,			/* DCPS1 */
		0xd50330ff,			/* SB */
	};

	new_vm(1);
	for (size_t i = 0; i < nitems(words); i++) {
		org(CODE);
		emit(words[i]);
		end();
		run(1);
		CHECKF(EC(esr()) == EC_UNKNOWN && ISS(esr()) == 0, "%zu 0x%08x: esr 0x%llx", i, words[i],
		    (unsigned long long)esr());
		CHECK_EQ(get(VM_ARM64_REG_ELR_EL1), CODE);
		CHECK_EQ(vector(), 0x200);
	}
	/* SP_EL0 while it is the stack pointer. */
	org(CODE);
	emit(0xd50040bf);			/* msr spsel, #0 */
	emit(MRS(0, 3, 0, 4, 1, 0));
	end();
	run(1);
	CHECK_EQ(EC(esr()), EC_UNKNOWN);
	CHECK_EQ(get(VM_ARM64_REG_ELR_EL1), CODE + 4);
	CHECK_EQ(vector(), 0x000);
	vm_close(vm);
}

TEST(el0_has_little)
{
	static const uint32_t undefined[] = {
		MRS(0, 3, 0, 0, 0, 0), MRS(0, 3, 0, 0, 4, 0), MRS(0, 3, 0, 1, 0, 0), MRS(0, 3, 0, 4, 2, 2),
		MSR(0, 3, 3, 13, 0, 3), MRS(0, 3, 0, 15, 1, 3), MRS(0, 2, 0, 0, 2, 2), MRS(0, 3, 0, 12, 12, 0),
		SYS(0, 8, 7, 0, 31), SYS(0, 7, 5, 0, 31), SYS(0, 7, 6, 1, 0), SYS(0, 7, 8, 0, 0), 0xd50041bf, ERET, HVC(0),
	};
	static const uint32_t allowed[] = {
		MRS(0, 3, 3, 4, 2, 0), MSR(0, 3, 3, 4, 2, 0), MRS(0, 3, 3, 4, 4, 0), MRS(0, 3, 3, 13, 0, 2),
		MSR(0, 3, 3, 13, 0, 2), MRS(0, 3, 3, 13, 0, 3), MRS(0, 3, 3, 0, 0, 7),
	};
	/* Guarded: by which bit of which register, set or clear to let it pass. */
	static const struct {
		uint32_t word;
		uint8_t reg;		/* 0 SCTLR, 1 CNTKCTL, 2 MDSCR */
		uint32_t bit;
		bool passes;
	} guarded[] = {
		{ MRS(0, 3, 3, 4, 2, 1), 0, 1U << 9, true },		/* DAIF: UMA */
		{ MSR(0, 3, 3, 4, 2, 1), 0, 1U << 9, true },
		{ 0xd50342df, 0, 1U << 9, true },			/* msr daifset, #2 */
		{ MRS(0, 3, 3, 0, 0, 1), 0, 1U << 15, true },		/* CTR: UCT */
		{ SYS(3, 7, 11, 1, 0), 0, 1U << 26, true },		/* DC CVAU: UCI */
		{ SYS(3, 7, 5, 1, 0), 0, 1U << 26, true },		/* IC IVAU */
		{ MRS(0, 3, 3, 13, 0, 7), 0, 1U << 20, false },		/* SCXTNUM_EL0: TSCXT */
		{ MRS(0, 3, 3, 14, 0, 0), 1, 1, true },			/* CNTFRQ */
		{ MRS(0, 3, 3, 14, 0, 1), 1, 1, true },			/* CNTPCT */
		{ MRS(0, 3, 3, 14, 0, 2), 1, 2, true },			/* CNTVCT */
		{ MRS(0, 3, 3, 14, 3, 1), 1, 1U << 8, true },		/* CNTV_CTL */
		{ MSR(0, 3, 3, 14, 2, 2), 1, 1U << 9, true },		/* CNTP_CVAL */
		{ MRS(0, 2, 3, 0, 1, 0), 2, 1U << 12, false },		/* MDCCSR_EL0: TDCC */
	};

	new_vm(1);
	for (size_t i = 0; i < nitems(undefined); i++) {
		org(CODE);
		emit(undefined[i]);
		end();
		run(0);
		CHECKF(EC(esr()) == EC_UNKNOWN, "%zu: esr 0x%llx", i, (unsigned long long)esr());
		CHECK_EQ(vector(), 0x400);
	}
	for (size_t i = 0; i < nitems(allowed); i++) {
		org(CODE);
		emit(allowed[i]);
		end();
		run(0);
		CHECKF(ended(), "%zu: esr 0x%llx", i, (unsigned long long)esr());
	}
	CHECK_EQ(get(X(0)), 0x14);		/* DCZID: DZP, as DZE is clear */
	for (size_t i = 0; i < nitems(guarded); i++) {
		uint32_t w = guarded[i].word;

		for (unsigned on = 0; on < 2; on++) {
			uint64_t *reg = guarded[i].reg == 0 ? &st->sctlr_el1 : guarded[i].reg == 1 ? &st->cntkctl_el1 : &st->mdscr_el1;

			*reg = on != 0 ? *reg | guarded[i].bit : *reg & ~(uint64_t)guarded[i].bit;
			org(CODE);
			mov(0, DATA);
			emit(w);
			end();
			run(0);
			if ((on != 0) == guarded[i].passes) {
				CHECKF(ended(), "%zu: esr 0x%llx", i, (unsigned long long)esr());
				continue;
			}
			CHECKF(EC(esr()) == EC_SYSREG, "%zu: esr 0x%llx", i, (unsigned long long)esr());
			/* ISS: Op0, Op2, Op1, CRn, Rt, CRm, direction */
			CHECK_EQ(ISS(esr()), (w >> 19 & 3) << 20 | (w >> 5 & 7) << 17 | (w >> 16 & 7) << 14 | (w >> 12 & 15) << 10 |
			    (w & 31) << 5 | (w >> 8 & 15) << 1 | (w >> 21 & 1));
			CHECK_EQ(get(VM_ARM64_REG_ELR_EL1), CODE + 16);
		}
	}
	vm_close(vm);
}

TEST(debug_locks_and_claims)
{
	new_vm(1);
	st->oslk = 1;
	org(CODE);
	emit(MRS(0, 2, 0, 1, 1, 4));
	emit(MSR(31, 2, 0, 1, 0, 4));
	emit(MRS(1, 2, 0, 1, 1, 4));
	mov(9, 0x5a);
	emit(MSR(9, 2, 0, 7, 8, 6));
	emit(MRS(2, 2, 0, 7, 9, 6));
	mov(9, 0x12);
	emit(MSR(9, 2, 0, 7, 9, 6));
	emit(MRS(3, 2, 0, 7, 9, 6));
	end();
	run(1);
	CHECK(ended());
	CHECK_EQ(get(X(0)), 0xa);
	CHECK_EQ(get(X(1)), 0x8);
	CHECK_EQ(get(X(2)), 0x5a);
	CHECK_EQ(get(X(3)), 0x48);
	vm_close(vm);
}

TEST(istatus_is_there_masked_or_not)
{
	new_vm(1);
	org(CODE);
	mov(1, 3);				/* enabled, masked, met */
	emit(MSR(31, 3, 3, 14, 3, 2));
	emit(MSR(1, 3, 3, 14, 3, 1));
	emit(MRS(0, 3, 3, 14, 3, 1));
	mov(1, 2);				/* disabled: none */
	emit(MSR(1, 3, 3, 14, 3, 1));
	emit(MRS(2, 3, 3, 14, 3, 1));
	mov(1, 0x7fffffff);
	emit(MSR(1, 3, 3, 14, 3, 0));		/* TVAL: far away */
	mov(1, 1);
	emit(MSR(1, 3, 3, 14, 3, 1));
	emit(MRS(3, 3, 3, 14, 3, 1));
	emit(MRS(4, 3, 3, 14, 3, 0));
	end();
	run(1);
	CHECK(ended());
	CHECK_EQ(get(X(0)), 7);
	CHECK_EQ(get(X(2)), 2);
	CHECK_EQ(get(X(3)), 1);
	CHECK(get(X(4)) <= 0x7fffffff && get(X(4)) > 0x70000000);
	vm_close(vm);
}

/* A wait by reading the count: the vCPU sleeps.  Reads with work in between are none. */
TEST(a_wait_by_reading_the_count_sleeps)
{
	static const struct {
		unsigned work;		/* instructions, twice as many */
		bool	 sleeps;
	} t[] = { { 1, true }, { 50, false } };
	uint64_t hz, before;
	int n;

	new_vm(1);
	hz = vm_get_counter_freq(vm);
	for (unsigned i = 0; i < nitems(t); i++) {
		before = vm_get_stats(cpu, &n)[VM_STAT_POLLS];
		org(CODE);
		mov(1, hz / 100);
		mov(2, 0);
		emit(MRS(3, 3, 3, 14, 0, 2));
		mov(5, t[i].work);
		emit(0xd10004a5);			/* sub x5, x5, #1 */
		emit(0xb5ffffe5);			/* cbnz x5, back to it */
		emit(MRS(0, 3, 3, 14, 0, 2));
		emit(0x91000442);			/* add x2, x2, #1 */
		emit(0xcb030000);			/* sub x0, x0, x3 */
		emit(0xeb01001f);			/* cmp x0, x1 */
		emit(0x54fffec3);			/* b.lo, to mov */
		emit(0xf100fc5f);			/* cmp x2, #63 */
		emit(0x54fffe83);			/* b.lo, to mov */
		end();
		run(1);
		CHECK(ended());
		CHECK(get(X(0)) >= hz / 100);
		CHECK_EQ(vm_get_stats(cpu, &n)[VM_STAT_POLLS] != before, t[i].sleeps);
	}
	vm_close(vm);
}

TEST_MAIN()
