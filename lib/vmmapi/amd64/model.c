/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * model.c - the modelled processors and what CPUID says of them (Intel SDM vol. 2, CPUID; hypervisor
 * leaves: the kernel's Documentation/virt/kvm/x86/cpuid.rst), on every back end.
 *
 * v1 is a 65 nm Core 2 without everything beyond x86-64-v1, v2 a Westmere-EP, v3 a Haswell and v4 a Skylake-SP, with what later
 * processors added to system software's comfort.  They say of speculation what is so where they run: on soft that
 * there is nothing to be fought.  A guest that decided by that on one host may be wrong on another, so the
 * baselines say nothing of it, and have nothing that a host may or may not have.
 */
#include <errno.h>
#include <string.h>

#include "model.h"

#define	B(n)	(1U << (n))

/* What x86-64-v2 asks for, and what is not in the psABI's level: what every host of the last ten years has, and what some have. */
#define	LEVEL_V2	(X86_F_SSE3 | X86_F_SSSE3 | X86_F_SSE41 | X86_F_SSE42 | X86_F_POPCNT | X86_F_CX16 | X86_F_LAHF)
#define	COMMON		(X86_F_MOVBE | X86_F_RDTSCP | X86_F_RDRAND | X86_F_FSGSBASE | X86_F_AES | X86_F_PCLMUL | X86_F_SMEP | X86_F_SMAP | X86_F_1G)
#define	SPECULATION	(X86_F_MD_CLEAR | X86_F_IBRS | X86_F_STIBP | X86_F_L1D_FLUSH | X86_F_ARCH_CAPS | X86_F_SSBD | X86_F_BHI_CTRL)

/* EAX of leaf 4: type, level, self-initializing; EBX: ways, partitions, line; ECX: sets */
#define	CACHE(type, level, ways, sets)						\
	{ (type) | (level) << 5 | B(8), ((ways) - 1U) << 22 | 63, (sets) - 1U }
#define	DATA	1U
#define	CODE	2U
#define	UNIFIED	3U
#define	WESTMERE								\
	.signature = 0x000206c1, .leaf2 = { 0x55035a01, 0x00f0b2ff, 0, 0x09ca212c }, .l2 = 256 << 16 | 6 << 12 | 64,	\
	.cache = { CACHE(DATA, 1, 8, 64), CACHE(CODE, 1, 4, 128), CACHE(UNIFIED, 2, 8, 512), CACHE(UNIFIED, 3, 16, 8192) }
#define	HASWELL									\
	.signature = 0x000306c3, .leaf2 = { 0x76036301, 0x00f0b5ff, 0, 0x00c10000 }, .l2 = 256 << 16 | 6 << 12 | 64,	\
	.cache = { CACHE(DATA, 1, 8, 64), CACHE(CODE, 1, 8, 64), CACHE(UNIFIED, 2, 8, 512), CACHE(UNIFIED, 3, 16, 8192) }
#define	SKYLAKE									\
	.signature = 0x00050654, .leaf2 = { 0x76036301, 0x00f0b5ff, 0, 0x00c30000 }, .l2 = 1024 << 16 | 8 << 12 | 64,	\
	.cache = { CACHE(DATA, 1, 8, 64), CACHE(CODE, 1, 8, 64), CACHE(UNIFIED, 2, 16, 1024), CACHE(UNIFIED, 3, 11, 16384) }
#define	CORE2									\
	.signature = 0x000006fb, .leaf2 = { 0x05b0b101, 0x005657f0, 0, 0x2cb43049 }, .l2 = 4096 << 16 | 8 << 12 | 64,	\
	.cache = { CACHE(DATA, 1, 8, 64), CACHE(CODE, 1, 8, 64), CACHE(UNIFIED, 2, 16, 4096) }

static const struct x86_model models[] = {
	{
		.name = "v2",
		.brand = "hyve virtual processor v2 (Westmere-EP)",
		.need = LEVEL_V2,
		.may = COMMON | X86_F_PCID | X86_F_UMIP | SPECULATION,
		WESTMERE
	}, {
		.name = "v1",
		.brand = "hyve virtual processor v1 (Core 2)",
		.may = SPECULATION,
		CORE2
	}, {
		.name = "baseline",
		.brand = "hyve virtual processor baseline",
		.need = LEVEL_V2 | COMMON,
		WESTMERE
	}, {
		.name = "baseline-v1",
		.brand = "hyve virtual processor baseline-v1",
		CORE2
	}, {
		.name = "v3",
		.brand = "hyve virtual processor v3 (Haswell)",
		.need = LEVEL_V2 | X86_F_MOVBE | X86_F_LEVEL_V3,
		.may = COMMON | X86_F_PCID | X86_F_UMIP | SPECULATION | X86_F_XSAVE_MORE,
		HASWELL
	}, {
		.name = "v4",
		.brand = "hyve virtual processor v4 (Skylake-SP)",
		.need = LEVEL_V2 | X86_F_MOVBE | X86_F_LEVEL_V3 | X86_F_LEVEL_V4,
		.may = COMMON | X86_F_PCID | X86_F_UMIP | SPECULATION | X86_F_XSAVE_MORE,
		SKYLAKE
	},
};

const char *const amd64_cpu_models[] = { "v2", "v1", "baseline", "baseline-v1", "host", "v3", "v4", NULL };

/* Words of CPUID, and where CPUID has a feature (SDM vol. 2 table 3-8). */
static const struct {
	uint32_t	leaf, sub;
	uint8_t		reg;
} words[AMD64_NWORDS] = {
	[W1_ECX] = { 1, 0, 2 }, [W1_EDX] = { 1, 0, 3 }, [W7_EBX] = { 7, 0, 1 }, [W7_ECX] = { 7, 0, 2 }, [W7_EDX] = { 7, 0, 3 },
	[W72_EDX] = { 7, 2, 3 }, [WX1_ECX] = { 0x80000001, 0, 2 }, [WX1_EDX] = { 0x80000001, 0, 3 }, [WX8_EBX] = { 0x80000008, 0, 1 },
	[WD_EAX] = { 0xd, 0, 0 }, [WD1_EAX] = { 0xd, 1, 0 },
};

static const struct feature {
	uint64_t	feature;	/* 0: no model has it */
	uint8_t		word, bit;
	const char	*name;
} features[] = {
	{ X86_F_SSE3, W1_ECX, 0, "SSE3" }, { X86_F_PCLMUL, W1_ECX, 1, "PCLMULQDQ" }, { X86_F_SSSE3, W1_ECX, 9, "SSSE3" },
	{ X86_F_CX16, W1_ECX, 13, "CMPXCHG16B" }, { X86_F_PCID, W1_ECX, 17, "PCID" }, { X86_F_SSE41, W1_ECX, 19, "SSE4.1" },
	{ X86_F_SSE42, W1_ECX, 20, "SSE4.2" }, { X86_F_MOVBE, W1_ECX, 22, "MOVBE" }, { X86_F_POPCNT, W1_ECX, 23, "POPCNT" },
	{ X86_F_AES, W1_ECX, 25, "AES" }, { X86_F_RDRAND, W1_ECX, 30, "RDRAND" },
	{ X86_F_FSGSBASE, W7_EBX, 0, "FSGSBASE" }, { X86_F_SMEP, W7_EBX, 7, "SMEP" }, { X86_F_SMAP, W7_EBX, 20, "SMAP" },
	{ X86_F_UMIP, W7_ECX, 2, "UMIP" },
	{ X86_F_MD_CLEAR, W7_EDX, 10, "MD_CLEAR" }, { X86_F_IBRS, W7_EDX, 26, "IBRS" }, { X86_F_STIBP, W7_EDX, 27, "STIBP" },
	{ X86_F_L1D_FLUSH, W7_EDX, 28, "L1D_FLUSH" }, { X86_F_ARCH_CAPS, W7_EDX, 29, "ARCH_CAPABILITIES" }, { X86_F_SSBD, W7_EDX, 31, "SSBD" },
	{ X86_F_BHI_CTRL, W72_EDX, 4, "BHI_CTRL" },
	{ X86_F_LAHF, WX1_ECX, 0, "LAHF" }, { X86_F_1G, WX1_EDX, 26, "pages of 1 GiB" }, { X86_F_RDTSCP, WX1_EDX, 27, "RDTSCP" },
	{ X86_F_FMA, W1_ECX, 12, "FMA" }, { X86_F_XSAVE, W1_ECX, 26, "XSAVE" }, { X86_F_AVX, W1_ECX, 28, "AVX" }, { X86_F_F16C, W1_ECX, 29, "F16C" },
	{ X86_F_BMI1, W7_EBX, 3, "BMI1" }, { X86_F_AVX2, W7_EBX, 5, "AVX2" }, { X86_F_BMI2, W7_EBX, 8, "BMI2" },
	{ X86_F_AVX512F, W7_EBX, 16, "AVX512F" }, { X86_F_AVX512DQ, W7_EBX, 17, "AVX512DQ" }, { X86_F_AVX512CD, W7_EBX, 28, "AVX512CD" },
	{ X86_F_AVX512BW, W7_EBX, 30, "AVX512BW" }, { X86_F_AVX512VL, W7_EBX, 31, "AVX512VL" }, { X86_F_LZCNT, WX1_ECX, 5, "LZCNT" },
	{ X86_F_XSAVEOPT, WD1_EAX, 0, "XSAVEOPT" }, { X86_F_XSAVEC, WD1_EAX, 1, "XSAVEC" }, { X86_F_XGETBV1, WD1_EAX, 2, "XGETBV of XINUSE" },
	{ 0, WD_EAX, 2, "YMM registers" }, { 0, WD_EAX, 5, "opmask registers" }, { 0, WD_EAX, 6, "ZMM0 to ZMM15" }, { 0, WD_EAX, 7, "ZMM16 to ZMM31" },
	{ 0, W7_EBX, 21, "AVX512_IFMA" }, { 0, W7_ECX, 1, "AVX512_VBMI" }, { 0, W7_ECX, 6, "AVX512_VBMI2" }, { 0, W7_ECX, 8, "GFNI" },
	{ 0, W7_ECX, 9, "VAES" }, { 0, W7_ECX, 10, "VPCLMULQDQ" }, { 0, W7_ECX, 11, "AVX512_VNNI" }, { 0, W7_ECX, 12, "AVX512_BITALG" },
	{ 0, W7_ECX, 14, "AVX512_VPOPCNTDQ" }, { 0, W7_EDX, 8, "AVX512_VP2INTERSECT" }, { 0, W7_EDX, 23, "AVX512_FP16" },
	{ 0, W1_EDX, 1, "VME" }, { 0, W7_EBX, 10, "INVPCID" }, { 0, W7_EBX, 18, "RDSEED" },
	{ 0, W7_EBX, 19, "ADX" }, { 0, W7_EBX, 23, "CLFLUSHOPT" }, { 0, W7_EBX, 24, "CLWB" }, { 0, W7_EBX, 29, "SHA" }, { 0, W7_ECX, 22, "RDPID" },
	{ 0, WX1_ECX, 6, "SSE4a" }, { 0, WX1_ECX, 7, "misaligned SSE" }, { 0, WX8_EBX, 0, "CLZERO" },
};

/* Bits that say nothing that a guest could miss: hints, what every back end emulates, and what changes by itself. */
static uint32_t
word_ignored(unsigned word)
{
	switch (word) {
	case W1_ECX:
		return (B(21) | B(24) | B(27) | B(31));		/* x2APIC TSC-deadline OSXSAVE hypervisor */
	case W1_EDX:
		return (B(9) | B(28));				/* APIC HTT */
	case W7_EBX:
		return (B(1) | B(9) | B(13));			/* TSC_ADJUST ERMS; selectors of x87 exceptions */
	case W7_EDX:
		return (B(4));					/* FSRM */
	case W72_EDX:
		return (~B(4));
	case WX1_ECX:
		return (B(1) | B(8));				/* legacy core count, PREFETCHW */
	case WX1_EDX:
		return (B(11));					/* SYSCALL: Intel says it in 64-bit mode only */
	default:
		return (0);
	}
}

static const char *
feature_name(unsigned word, unsigned bit, char buf[48])
{
	static const char reg[4][4] = { "EAX", "EBX", "ECX", "EDX" };

	for (size_t i = 0; i < nitems(features); i++) {
		if (features[i].word == word && features[i].bit == bit)
			return (features[i].name);
	}
	(void)snprintf(buf, 48, "bit %u of CPUID leaf %xh, %s", bit, words[word].leaf, reg[words[word].reg]);
	return (buf);
}

uint64_t
amd64_features(const uint32_t w[AMD64_NWORDS])
{
	uint64_t f = 0;

	for (size_t i = 0; i < nitems(features); i++) {
		if ((w[features[i].word] & B(features[i].bit)) != 0)
			f |= features[i].feature;
	}
	return (f);
}

const struct x86_model *
amd64_model(const char *name)
{
	for (size_t i = 0; i < nitems(models); i++) {
		if (name != NULL && strcmp(models[i].name, name) == 0)
			return (&models[i]);
	}
	return (NULL);
}

uint32_t
amd64_signature(const struct vmctx *vm)
{
	const struct x86_model *m = amd64_model(vm->cpu_model);

	return (m != NULL ? m->signature : models[0].signature);
}

const struct amd64_xpart amd64_xparts[AMD64_NXPARTS] = {
#define	PART(n, f, s)	{ (n), offsetof(struct amd64_state, f), sizeof(((struct amd64_state *)0)->f), (s) }
	PART(2, avx.ymm_hi128, "the YMM registers"),
	PART(5, avx512.k, "the opmask registers"),
	PART(6, avx512.zmm_hi256, "ZMM0 to ZMM15"),
	PART(7, avx512.hi16_zmm, "ZMM16 to ZMM31"),
#undef	PART
};

uint32_t
amd64_xcr0(uint64_t f)
{
	if ((f & X86_F_XSAVE) == 0)
		return (0);
	return (XCR0_X87_SSE | ((f & X86_F_AVX) != 0 ? XCR0_AVX : 0) | ((f & X86_F_AVX512F) != 0 ? XCR0_AVX512 : 0));
}

uint32_t
amd64_xsave_at(const struct amd64_vm *av, unsigned nr)
{
	if (nr == 2)
		return (XSAVE_AVX_AT);
	return (av != NULL && nr >= 5 && nr <= 7 ? av->xsave_here[nr - 5] : 0);
}

uint32_t
amd64_xsave_size(const struct amd64_vm *av, uint32_t xcr0)
{
	uint32_t size = 512 + 64;		/* legacy region and header (vol. 1 13.4) */

	for (unsigned i = 0; i < AMD64_NXPARTS; i++) {
		uint32_t end = amd64_xsave_at(av, amd64_xparts[i].nr) + amd64_xparts[i].size;

		if ((xcr0 >> amd64_xparts[i].nr & 1) != 0 && end > size)
			size = end;
	}
	return (size);
}

/* Images of XSAVE that are in a guest's memory are as its processor makes them. */
int
amd64_xsave_check(const uint32_t seen[3], const uint32_t here[3])
{
	for (unsigned i = 0; i < 3; i++) {
		if (seen[i] != 0 && seen[i] != here[i])
			return (vm_state_complain("amd64 vm: the guest's images of XSAVE have %s at %u, where this host's processor has them at %u",
			    amd64_xparts[i + 1].name, seen[i], here[i]));
	}
	return (0);
}

int
amd64_model_fit(const struct x86_model *model, uint64_t have, const char *who)
{
	uint64_t lacks = model->need & ~have;
	char names[200] = "";
	size_t n = 0;

	if (lacks == 0)
		return (0);
	for (size_t i = 0; i < nitems(features); i++) {
		if ((lacks & features[i].feature) != 0 && n < sizeof(names))
			n += (size_t)snprintf(names + n, sizeof(names) - n, "%s%s", n == 0 ? "" : ", ", features[i].name);
	}
	return (vm_fail(ENOTSUP, "%s: processor model %s needs %s, which this host does not have", who, model->name, names));
}

void
amd64_words(const struct amd64_shown *c, uint32_t w[AMD64_NWORDS])
{
	uint32_t r[4];

	for (unsigned i = 0; i < AMD64_NWORDS; i++) {
		amd64_cpuid(c, words[i].leaf, words[i].sub, r);
		w[i] = r[words[i].reg];
	}
}

int
amd64_words_index(uint32_t leaf, uint32_t sub, unsigned reg)
{
	for (unsigned i = 0; i < AMD64_NWORDS; i++) {
		if (words[i].leaf == leaf && words[i].sub == sub && words[i].reg == reg)
			return ((int)i);
	}
	return (-1);
}

int
amd64_words_check(const uint32_t seen[AMD64_NWORDS], const uint32_t here[AMD64_NWORDS])
{
	char names[200] = "", buf[48];
	uint32_t lacks;
	size_t n = 0;

	for (unsigned i = 0; i < AMD64_NWORDS; i++) {
		lacks = seen[i] & ~here[i] & ~word_ignored(i);
		for (unsigned b = 0; b < 32; b++) {
			if ((lacks & B(b)) != 0 && n < sizeof(names))
				n += (size_t)snprintf(names + n, sizeof(names) - n, "%s%s", n == 0 ? "" : ", ", feature_name(i, b, buf));
		}
	}
	if (n == 0)
		return (0);
	return (vm_state_complain("amd64 vm: the guest has seen what its processor does not have here: %s (cpu.model=baseline is for VMs that move)", names));
}

/* What a processor is not affected by (SDM vol. 4 table 2-2), and what a guest then leaves out. */
int
amd64_immune_check(uint64_t seen, uint64_t here)
{
	static const struct {
		uint8_t		bit;
		const char	*name;
	} immune[] = {
		{ 0, "RDCL_NO" }, { 3, "SKIP_L1DFL_VMENTRY" }, { 4, "SSB_NO" }, { 5, "MDS_NO" }, { 6, "IF_PSCHANGE_MC_NO" }, { 8, "TAA_NO" },
		{ 13, "SBDR_SSDP_NO" }, { 14, "FBSDP_NO" }, { 15, "PSDP_NO" }, { 20, "BHI_NO" }, { 24, "PBRSB_NO" }, { 26, "GDS_NO" },
		{ 27, "RFDS_NO" }, { 62, "ITS_NO" },
	};
	char names[200] = "";
	size_t n = 0;

	for (size_t i = 0; i < nitems(immune); i++) {
		if ((seen & ~here) >> immune[i].bit & 1 && n < sizeof(names))
			n += (size_t)snprintf(names + n, sizeof(names) - n, "%s%s", n == 0 ? "" : ", ", immune[i].name);
	}
	if (n == 0)
		return (0);
	return (vm_state_complain("amd64 vm: the guest takes no measures against speculation that its processor needs here: it was told %s "
	    "(cpu.model=baseline is for VMs that move)", names));
}

static uint32_t
bits(const struct amd64_shown *c, unsigned word)
{
	uint32_t r = 0;

	for (size_t i = 0; i < nitems(features); i++) {
		if (features[i].word == word && (c->features & features[i].feature) != 0)
			r |= B(features[i].bit);
	}
	return (r);
}

/* FPU DE PSE TSC MSR PAE MCE CX8 APIC SEP MTRR PGE MCA CMOV PAT PSE-36 CLFSH MMX FXSR SSE SSE2 SS */
#define	F1_EDX									\
	(B(0) | B(2) | B(3) | B(4) | B(5) | B(6) | B(7) | B(8) | B(9) | B(11) | B(12) | B(13) |		\
	B(14) | B(15) | B(16) | B(17) | B(19) | B(23) | B(24) | B(25) | B(26) | B(27))
#define	F1_EDX_APIC	B(9)			/* while it is enabled (vol. 3 10.4.3) */
#define	F1_EDX_HTT	B(28)
#define	F1_ECX	(B(21) | B(24) | B(31))		/* x2APIC, TSC deadline, hypervisor */

/* TSC_ADJUST, ERMS; selectors of x87 exceptions are not kept */
#define	F7_EBX	(B(1) | B(9) | B(13))
#define	F7_EBX_INVPCID	B(10)
#define	F7_EDX	B(4)				/* FSRM */

/*
 * MCDT_NO.  Without BHI_CTRL Linux clears the branch history by software whatever IA32_ARCH_CAPABILITIES says.
 */
#define	F72_EDX	B(5)

#define	FX1_ECX	B(8)				/* PREFETCHW */
#define	FX1_EDX	B(29)				/* long mode */
#define	FX1_EDX_SYSCALL	B(11)
#define	FX1_EDX_NX	B(20)

#define	MAX_LEAF	0x16U
#define	MAX_LEAF_LIMITED 2U			/* IA32_MISC_ENABLE says so */
#define	MAX_HV		0x40000010U
#define	MAX_EXT		0x80000008U

#define	KVM_FEATURES	(B(1) | B(3) | B(24))	/* no I/O delays, clock at MSRs 4b564d0xh, which is stable */

static void
leaf1(const struct amd64_shown *c, uint32_t r[4])
{
	uint32_t n = 1U << amd64_package_bits(c->vcpu->vm);

	r[0] = c->model->signature;
	r[1] = (uint32_t)c->vcpu->id << 24 | (n > 255 ? 255 : n) << 16 | 8 << 8;	/* lines of 64 bytes */
	r[2] = F1_ECX | bits(c, W1_ECX);
	r[3] = F1_EDX | (n > 1 ? F1_EDX_HTT : 0);
	if (c->st != NULL && (c->st->apic_base & APIC_BASE_EN) == 0)
		r[3] &= ~F1_EDX_APIC;
}

/* Caches: the highest level is the package's, the others a core's. */
static void
leaf4(const struct amd64_shown *c, uint32_t sub, uint32_t r[4])
{
	const struct x86_model *m = c->model;
	bool last;

	if (sub >= nitems(m->cache) || m->cache[sub][0] == 0)
		return;
	last = sub == nitems(m->cache) - 1 || m->cache[sub + 1][0] == 0;
	r[0] = m->cache[sub][0] | amd64_leaf4_ids(c->vcpu->vm, last);
	r[1] = m->cache[sub][1];
	r[2] = m->cache[sub][2];
	r[3] = last ? B(1) : 0;			/* inclusive */
}

static void
leaf7(const struct amd64_shown *c, uint32_t sub, uint32_t r[4])
{
	if (sub == 2 && (c->features & X86_F_ARCH_CAPS) != 0)
		r[3] = F72_EDX | bits(c, W72_EDX);
	if (sub != 0)
		return;
	r[0] = 2;				/* the last subleaf */
	r[1] = F7_EBX | bits(c, W7_EBX) | ((c->features & X86_F_PCID) != 0 ? F7_EBX_INVPCID : 0);
	r[2] = bits(c, W7_ECX);
	r[3] = F7_EDX | bits(c, W7_EDX);
}

/* Extended state (vol. 2 table 3-8): components that XCR0 can have, the size of an image of those that it has, of all; which instructions; each one's place. */
static void
leafd(const struct amd64_shown *c, uint32_t sub, uint32_t r[4])
{
	const struct amd64_vm *av = c->vcpu->vm->md_vm;
	uint32_t all = amd64_xcr0(c->features), now = c->st != NULL ? (uint32_t)c->st->xcr0 : all;

	if (all == 0)
		return;
	if (sub == 0) {
		r[0] = all;
		r[1] = amd64_xsave_size(av, now);
		r[2] = amd64_xsave_size(av, all);
	} else if (sub == 1)
		r[0] = bits(c, WD1_EAX);
	for (unsigned i = 0; i < AMD64_NXPARTS; i++) {
		if (amd64_xparts[i].nr == sub && (all >> sub & 1) != 0) {
			r[0] = amd64_xparts[i].size;
			r[1] = amd64_xsave_at(av, sub);
		}
	}
}

static uint64_t
gcd(uint64_t a, uint64_t b)
{
	while (b != 0) {
		uint64_t t = a % b;

		a = b;
		b = t;
	}
	return (a);
}

/*
 * The TSC as a multiple of the crystal, which is what the local APIC's timer counts: 1 GHz.  Guests
 * compute with 32 bits: an odd frequency is not told here, but by the hypervisor's leaf.
 */
#define	CRYSTAL		1000000000U
#define	FACTOR_MAX	4000U

static void
leaf15(const struct amd64_shown *c, uint32_t r[4])
{
	uint64_t hz = c->vcpu->vm->counter_hz, g = gcd(hz, CRYSTAL);

	if (hz / g > FACTOR_MAX)
		return;
	r[0] = (uint32_t)(CRYSTAL / g);
	r[1] = (uint32_t)(hz / g);
	r[2] = CRYSTAL;
}

static void
basic(const struct amd64_shown *c, uint32_t leaf, uint32_t sub, uint32_t r[4])
{
	switch (leaf) {
	case 0:
		r[0] = c->st != NULL && (c->st->misc_enable & MISC_LIMIT_CPUID) != 0 ? MAX_LEAF_LIMITED : MAX_LEAF;
		memcpy(&r[1], "Genu", 4);
		memcpy(&r[3], "ineI", 4);
		memcpy(&r[2], "ntel", 4);
		break;
	case 1:
		leaf1(c, r);
		break;
	case 2:
		memcpy(r, c->model->leaf2, sizeof(c->model->leaf2));
		break;
	case 4:
		leaf4(c, sub, r);
		break;
	case 6:
		r[0] = B(2);			/* the APIC's timer always runs */
		break;
	case 7:
		leaf7(c, sub, r);
		break;
	case 0xb:
		amd64_leafb(c->vcpu, sub, r);
		break;
	case 0xd:
		leafd(c, sub, r);
		break;
	case 0x15:
		leaf15(c, r);
		break;
	case 0x16:
		r[0] = r[1] = (uint32_t)(c->vcpu->vm->counter_hz / 1000000);
		r[2] = 100;
		break;
	default:
		break;
	}
}

static void
hypervisor(const struct amd64_shown *c, uint32_t leaf, uint32_t r[4])
{
	switch (leaf) {
	case 0x40000000:
		r[0] = MAX_HV;
		memcpy(&r[1], "KVMK", 4);
		memcpy(&r[2], "VMKV", 4);
		memcpy(&r[3], "M\0\0\0", 4);
		break;
	case 0x40000001:
		r[0] = KVM_FEATURES;
		break;
	case 0x40000010:
		r[0] = (uint32_t)(c->vcpu->vm->counter_hz / 1000);
		r[1] = CRYSTAL / 1000;
		break;
	default:
		break;
	}
}

static void
extended(const struct amd64_shown *c, uint32_t leaf, uint32_t r[4])
{
	char brand[48] = { 0 };

	switch (leaf) {
	case 0x80000000:
		r[0] = MAX_EXT;
		break;
	case 0x80000001:
		r[2] = bits(c, WX1_ECX) | (c->model->need != 0 ? FX1_ECX : 0);
		r[3] = FX1_EDX | bits(c, WX1_EDX);
		/* SYSCALL is Intel's in 64-bit mode only, and said there only. */
		if (c->st == NULL || ((c->st->efer & EFER_LMA) != 0 && (c->st->seg[SEG_CS].access & VM_AMD64_SEG_L) != 0))
			r[3] |= FX1_EDX_SYSCALL;
		if (c->st == NULL || (c->st->misc_enable & MISC_XD_DISABLE) == 0)
			r[3] |= FX1_EDX_NX;
		break;
	case 0x80000002:
	case 0x80000003:
	case 0x80000004:
		memcpy(brand, c->model->brand, strlen(c->model->brand));
		memcpy(r, brand + 16 * (leaf - 0x80000002), 16);
		break;
	case 0x80000006:
		r[2] = c->model->l2;
		break;
	case 0x80000007:
		r[3] = B(8);			/* invariant TSC */
		break;
	case 0x80000008:
		r[0] = 48 << 8 | AMD64_PHYS_BITS;
		break;
	default:
		break;
	}
}

void
amd64_cpuid(const struct amd64_shown *c, uint32_t leaf, uint32_t sub, uint32_t r[4])
{
	uint32_t max = c->st != NULL && (c->st->misc_enable & MISC_LIMIT_CPUID) != 0 ? MAX_LEAF_LIMITED : MAX_LEAF;

	memset(r, 0, 4 * sizeof(r[0]));
	if (leaf >= 0x40000000 && leaf <= MAX_HV)
		hypervisor(c, leaf, r);
	else if (leaf >= 0x80000000 && leaf <= MAX_EXT)
		extended(c, leaf, r);
	else if (leaf >= 0x40000000 && leaf < 0x40000100)
		return;
	else
		/* Beyond the last leaf the highest basic one's data is returned. */
		basic(c, leaf <= max ? leaf : max, sub, r);
}
