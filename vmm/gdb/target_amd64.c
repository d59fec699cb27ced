/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * target_amd64.c - an amd64 processor for gdb (GDB manual, "i386 Features"), with the registers of a system behind those of a program.
 *
 * The x87 and SSE are in an FXSAVE64 image (SDM vol. 1 10.5.1).
 */
#include <string.h>

#include <vmmapi/amd64.h>

#include "target.h"

#define	FXSAVE		"fxsave"
#define	FX_FTW		4U		/* a bit per physical register: it is not empty */
#define	FX_FSW		2U
#define	FX_ST(n)	(32U + 16U * (n))

/* The tag word has two bits per register: valid, zero, special, empty (SDM vol. 1 8.1.7). */
enum { TAG_VALID, TAG_ZERO, TAG_SPECIAL, TAG_EMPTY };

static unsigned
tag_of(const uint8_t st[10])
{
	uint64_t significand;
	unsigned exponent;

	memcpy(&significand, st, sizeof(significand));
	exponent = (st[8] | (unsigned)st[9] << 8) & 0x7fff;
	if (exponent == 0 && significand == 0)
		return (TAG_ZERO);
	return (exponent == 0 || exponent == 0x7fff || significand >> 63 == 0 ? TAG_SPECIAL : TAG_VALID);
}

static int
get_tags(struct vcpu *vcpu, const struct gdb_reg *r, uint8_t *val)
{
	uint8_t fx[FX_ST(8)];
	unsigned top, tags = 0;

	if (vm_vcpu_field_get(vcpu, FXSAVE, 0, fx, sizeof(fx)) != 0)
		return (-1);
	top = fx[FX_FSW + 1] >> 3 & 7;
	for (unsigned n = 0; n < 8; n++)
		tags |= ((fx[FX_FTW] >> n & 1) != 0 ? tag_of(fx + FX_ST((n - top) & 7)) : TAG_EMPTY) << 2 * n;
	val[0] = (uint8_t)tags;
	val[1] = (uint8_t)(tags >> 8);
	return (0);
}

static int
set_tags(struct vcpu *vcpu, const struct gdb_reg *r, const uint8_t *val)
{
	unsigned tags = val[0] | (unsigned)val[1] << 8;
	uint8_t ftw = 0;

	for (unsigned n = 0; n < 8; n++)
		ftw |= (uint8_t)(((tags >> 2 * n & 3) != TAG_EMPTY) << n);
	return (vm_vcpu_field_set(vcpu, FXSAVE, FX_FTW, &ftw, 1));
}

/* RFLAGS is wider than what gdb has of it; the rest is zero. */
#define	R(n, r, t)	{ .name = (n), .bits = 64, .type = (t), .reg = VM_AMD64_REG_##r }
#define	SEL(n, r)	{ .name = (n), .bits = 32, .reg = VM_AMD64_REG_##r }
#define	FX(n, b, o, s, t)	{ .name = (n), .bits = (b), .type = (t), .field = FXSAVE, .off = (o), .size = (s) }
#define	ST(n)		FX("st" #n, 80, FX_ST(n), 10, "i387_ext")
#define	XMM(n)		FX("xmm" #n, 128, 160 + 16 * (n), 16, "vec128")

static const char core_types[] =
    "<flags id=\"i386_eflags\" size=\"4\"><field name=\"CF\" start=\"0\" end=\"0\"/><field name=\"\" start=\"1\" end=\"1\"/>"
    "<field name=\"PF\" start=\"2\" end=\"2\"/><field name=\"AF\" start=\"4\" end=\"4\"/><field name=\"ZF\" start=\"6\" end=\"6\"/>"
    "<field name=\"SF\" start=\"7\" end=\"7\"/><field name=\"TF\" start=\"8\" end=\"8\"/><field name=\"IF\" start=\"9\" end=\"9\"/>"
    "<field name=\"DF\" start=\"10\" end=\"10\"/><field name=\"OF\" start=\"11\" end=\"11\"/><field name=\"NT\" start=\"14\" end=\"14\"/>"
    "<field name=\"RF\" start=\"16\" end=\"16\"/><field name=\"VM\" start=\"17\" end=\"17\"/><field name=\"AC\" start=\"18\" end=\"18\"/>"
    "<field name=\"VIF\" start=\"19\" end=\"19\"/><field name=\"VIP\" start=\"20\" end=\"20\"/><field name=\"ID\" start=\"21\" end=\"21\"/></flags>";

static const struct gdb_reg core[] = {
	R("rax", RAX, NULL), R("rbx", RBX, NULL), R("rcx", RCX, NULL), R("rdx", RDX, NULL), R("rsi", RSI, NULL), R("rdi", RDI, NULL),
	R("rbp", RBP, "data_ptr"), R("rsp", RSP, "data_ptr"), R("r8", R8, NULL), R("r9", R9, NULL), R("r10", R10, NULL), R("r11", R11, NULL),
	R("r12", R12, NULL), R("r13", R13, NULL), R("r14", R14, NULL), R("r15", R15, NULL), R("rip", RIP, "code_ptr"),
	{ .name = "eflags", .bits = 32, .type = "i386_eflags", .reg = VM_AMD64_REG_RFLAGS },
	SEL("cs", CS), SEL("ss", SS), SEL("ds", DS), SEL("es", ES), SEL("fs", FS), SEL("gs", GS),
	ST(0), ST(1), ST(2), ST(3), ST(4), ST(5), ST(6), ST(7),
	FX("fctrl", 32, 0, 2, NULL), FX("fstat", 32, FX_FSW, 2, NULL),
	{ .name = "ftag", .bits = 32, .get = get_tags, .set = set_tags },
	FX("fiseg", 32, 12, 2, NULL), FX("fioff", 32, 8, 4, NULL), FX("foseg", 32, 20, 2, NULL), FX("fooff", 32, 16, 4, NULL),
	FX("fop", 32, 6, 2, NULL),
};

static const char sse_types[] =
    "<vector id=\"v8bf16\" type=\"bfloat16\" count=\"8\"/><vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/>"
    "<vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/><vector id=\"v16i8\" type=\"int8\" count=\"16\"/>"
    "<vector id=\"v8i16\" type=\"int16\" count=\"8\"/><vector id=\"v4i32\" type=\"int32\" count=\"4\"/>"
    "<vector id=\"v2i64\" type=\"int64\" count=\"2\"/><union id=\"vec128\"><field name=\"v8_bfloat16\" type=\"v8bf16\"/>"
    "<field name=\"v4_float\" type=\"v4f\"/><field name=\"v2_double\" type=\"v2d\"/><field name=\"v16_int8\" type=\"v16i8\"/>"
    "<field name=\"v8_int16\" type=\"v8i16\"/><field name=\"v4_int32\" type=\"v4i32\"/><field name=\"v2_int64\" type=\"v2i64\"/>"
    "<field name=\"uint128\" type=\"uint128\"/></union>";

static const struct gdb_reg sse[] = {
	XMM(0), XMM(1), XMM(2), XMM(3), XMM(4), XMM(5), XMM(6), XMM(7),
	XMM(8), XMM(9), XMM(10), XMM(11), XMM(12), XMM(13), XMM(14), XMM(15),
	FX("mxcsr", 32, 24, 4, NULL),
};

static const struct gdb_reg segments[] = { R("fs_base", FS_BASE, NULL), R("gs_base", GS_BASE, NULL) };

static const struct gdb_reg machine[] = {
	R("k_gs_base", KGS_BASE, NULL), R("cr0", CR0, NULL), R("cr2", CR2, NULL), R("cr3", CR3, NULL), R("cr4", CR4, NULL),
	R("cr8", CR8, NULL), R("efer", EFER, NULL),
};

#define	FEATURE(n, t, r)	{ .name = (n), .types = (t), .regs = (r), .nregs = sizeof(r) / sizeof((r)[0]) }
static const struct gdb_feature features[] = {
	FEATURE("org.gnu.gdb.i386.core", core_types, core),
	FEATURE("org.gnu.gdb.i386.sse", sse_types, sse),
	FEATURE("org.gnu.gdb.i386.segments", NULL, segments),
	FEATURE("hyve.amd64.system", NULL, machine),
};

static const char *const states[] = { "runs", "halted", "waits to be started", "shut down", NULL };

const struct gdb_target gdb_target_amd64 = {
	.arch = VM_ARCH_AMD64,
	.name = "i386:x86-64",
	.features = features,
	.nfeatures = sizeof(features) / sizeof(features[0]),
	.pc = VM_AMD64_REG_RIP,
	.run_state = VM_AMD64_REG_RUN_STATE,
	.states = states,
};
