/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * target_arm64.c - an arm64 processor for gdb (GDB manual, "AArch64 Features"), with the registers of a system behind those of a program.
 */
#include <string.h>

#include <vmmapi/arm64.h>

#include "target.h"

/* The stack pointer in use (Arm ARM D1.6.2): EL1's if PSTATE says EL1h. */
static int
sp_reg(struct vcpu *vcpu, int *reg)
{
	uint64_t pstate;

	if (vm_get_register(vcpu, VM_ARM64_REG_PSTATE, &pstate) != 0)
		return (-1);
	*reg = (pstate & 1) != 0 ? VM_ARM64_REG_SP_EL1 : VM_ARM64_REG_SP_EL0;
	return (0);
}

static int
get_sp(struct vcpu *vcpu, const struct gdb_reg *r, uint8_t *val)
{
	uint64_t sp = 0;
	int reg;

	if (sp_reg(vcpu, &reg) != 0 || vm_get_register(vcpu, reg, &sp) != 0)
		return (-1);
	memcpy(val, &sp, sizeof(sp));
	return (0);
}

static int
set_sp(struct vcpu *vcpu, const struct gdb_reg *r, const uint8_t *val)
{
	uint64_t sp;
	int reg;

	memcpy(&sp, val, sizeof(sp));
	return (sp_reg(vcpu, &reg) != 0 ? -1 : vm_set_register(vcpu, reg, sp));
}

#define	R_(n, r, b, t)	{ .name = (n), .bits = (b), .type = (t), .reg = VM_ARM64_REG_##r }
#define	R(n, r)		R_(n, r, 64, NULL)
#define	X(i)		{ .name = "x" #i, .bits = 64, .reg = VM_ARM64_REG_X0 + (i) }
#define	V(i)		{ .name = "v" #i, .bits = 128, .type = "aarch64v", .field = "v", .off = 16 * (i), .size = 16 }

static const char core_types[] =
    "<flags id=\"cpsr_flags\" size=\"4\"><field name=\"SP\" start=\"0\" end=\"0\"/><field name=\"EL\" start=\"2\" end=\"3\"/>"
    "<field name=\"nRW\" start=\"4\" end=\"4\"/><field name=\"F\" start=\"6\" end=\"6\"/><field name=\"I\" start=\"7\" end=\"7\"/>"
    "<field name=\"A\" start=\"8\" end=\"8\"/><field name=\"D\" start=\"9\" end=\"9\"/><field name=\"IL\" start=\"20\" end=\"20\"/>"
    "<field name=\"SS\" start=\"21\" end=\"21\"/><field name=\"V\" start=\"28\" end=\"28\"/><field name=\"C\" start=\"29\" end=\"29\"/>"
    "<field name=\"Z\" start=\"30\" end=\"30\"/><field name=\"N\" start=\"31\" end=\"31\"/></flags>";

static const struct gdb_reg core[] = {
	X(0), X(1), X(2), X(3), X(4), X(5), X(6), X(7), X(8), X(9), X(10), X(11), X(12), X(13), X(14), X(15),
	X(16), X(17), X(18), X(19), X(20), X(21), X(22), X(23), X(24), X(25), X(26), X(27), X(28), X(29), X(30),
	{ .name = "sp", .bits = 64, .type = "data_ptr", .get = get_sp, .set = set_sp },
	R_("pc", PC, 64, "code_ptr"),
	R_("cpsr", PSTATE, 32, "cpsr_flags"),
};

static const char fpu_types[] =
    "<vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/><vector id=\"v2u\" type=\"uint64\" count=\"2\"/>"
    "<vector id=\"v2i\" type=\"int64\" count=\"2\"/><vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/>"
    "<vector id=\"v4u\" type=\"uint32\" count=\"4\"/><vector id=\"v4i\" type=\"int32\" count=\"4\"/>"
    "<vector id=\"v8u\" type=\"uint16\" count=\"8\"/><vector id=\"v8i\" type=\"int16\" count=\"8\"/>"
    "<vector id=\"v16u\" type=\"uint8\" count=\"16\"/><vector id=\"v16i\" type=\"int8\" count=\"16\"/>"
    "<vector id=\"v1u\" type=\"uint128\" count=\"1\"/><vector id=\"v1i\" type=\"int128\" count=\"1\"/>"
    "<union id=\"vnd\"><field name=\"f\" type=\"v2d\"/><field name=\"u\" type=\"v2u\"/><field name=\"s\" type=\"v2i\"/></union>"
    "<union id=\"vns\"><field name=\"f\" type=\"v4f\"/><field name=\"u\" type=\"v4u\"/><field name=\"s\" type=\"v4i\"/></union>"
    "<union id=\"vnh\"><field name=\"u\" type=\"v8u\"/><field name=\"s\" type=\"v8i\"/></union>"
    "<union id=\"vnb\"><field name=\"u\" type=\"v16u\"/><field name=\"s\" type=\"v16i\"/></union>"
    "<union id=\"vnq\"><field name=\"u\" type=\"v1u\"/><field name=\"s\" type=\"v1i\"/></union>"
    "<union id=\"aarch64v\"><field name=\"d\" type=\"vnd\"/><field name=\"s\" type=\"vns\"/><field name=\"h\" type=\"vnh\"/>"
    "<field name=\"b\" type=\"vnb\"/><field name=\"q\" type=\"vnq\"/></union>";

static const struct gdb_reg fpu[] = {
	V(0), V(1), V(2), V(3), V(4), V(5), V(6), V(7), V(8), V(9), V(10), V(11), V(12), V(13), V(14), V(15),
	V(16), V(17), V(18), V(19), V(20), V(21), V(22), V(23), V(24), V(25), V(26), V(27), V(28), V(29), V(30), V(31),
	R_("fpsr", FPSR, 32, NULL),
	R_("fpcr", FPCR, 32, NULL),
};

static const struct gdb_reg machine[] = {
	R("sp_el0", SP_EL0), R("sp_el1", SP_EL1), R("elr_el1", ELR_EL1), R("spsr_el1", SPSR_EL1), R("esr_el1", ESR_EL1), R("far_el1", FAR_EL1),
	R("vbar_el1", VBAR_EL1), R("sctlr_el1", SCTLR_EL1), R("ttbr0_el1", TTBR0_EL1), R("ttbr1_el1", TTBR1_EL1), R("tcr_el1", TCR_EL1),
	R("mair_el1", MAIR_EL1), R("cpacr_el1", CPACR_EL1), R("contextidr_el1", CONTEXTIDR_EL1), R("tpidr_el0", TPIDR_EL0),
	R("tpidrro_el0", TPIDRRO_EL0), R("tpidr_el1", TPIDR_EL1), R("midr_el1", MIDR_EL1), R("mpidr_el1", MPIDR_EL1),
};

#define	FEATURE(n, t, r)	{ .name = (n), .types = (t), .regs = (r), .nregs = sizeof(r) / sizeof((r)[0]) }
static const struct gdb_feature features[] = {
	FEATURE("org.gnu.gdb.aarch64.core", core_types, core),
	FEATURE("org.gnu.gdb.aarch64.fpu", fpu_types, fpu),
	FEATURE("hyve.arm64.system", NULL, machine),
};

static const char *const states[] = { "runs", "waits for an interrupt", "off", NULL };

const struct gdb_target gdb_target_arm64 = {
	.arch = VM_ARCH_ARM64,
	.name = "aarch64",
	.features = features,
	.nfeatures = sizeof(features) / sizeof(features[0]),
	.pc = VM_ARM64_REG_PC,
	.run_state = VM_ARM64_REG_RUN_STATE,
	.states = states,
};
