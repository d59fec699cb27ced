/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cpuid.c - the modelled processors and what CPUID says of them (Intel SDM vol. 2, CPUID; hypervisor
 * leaves: the kernel's Documentation/virt/kvm/x86/cpuid.rst).
 *
 * v1 is a 65 nm Core 2 without everything beyond x86-64-v1, v2 a Westmere-EP with what later processors
 * added to system software's comfort.  Both are Intel's, and say by IA32_ARCH_CAPABILITIES that no
 * speculation has to be fought.
 */
#include <cpuid.h>
#include <errno.h>
#include <string.h>

#include "sys.h"

#define	B(n)	(1U << (n))

struct x86_model {
	const char	*name;
	const char	*brand;		/* at most 47 characters */
	uint64_t	 features;
	uint64_t	 host;		/* those of them that the host's instructions are needed for */
	uint32_t	 leaf2[4];
	uint32_t	 cache[4][3];	/* leaf 4: EAX without topology, EBX, ECX */
	uint32_t	 l2;		/* leaf 80000006h, ECX */
};

#define	HOST_V2	(X86_F_SSE3 | X86_F_SSSE3 | X86_F_SSE41 | X86_F_SSE42 | X86_F_POPCNT | X86_F_CX16)
#define	OFFERED_IF_HOST	(X86_F_AES | X86_F_PCLMUL)

/* EAX of leaf 4: type, level, self-initializing; EBX: ways, partitions, line; ECX: sets */
#define	CACHE(type, level, ways, sets)						\
	{ (type) | (level) << 5 | B(8), ((ways) - 1U) << 22 | 63, (sets) - 1U }
#define	DATA	1U
#define	CODE	2U
#define	UNIFIED	3U

static const struct x86_model models[] = {
	{
		.name = "v2",
		.brand = "hyve virtual processor v2 (Westmere-EP)",
		.features = HOST_V2 | X86_F_MOVBE | X86_F_RDTSCP | X86_F_RDRAND | X86_F_FSGSBASE |
		    OFFERED_IF_HOST | X86_F_LAHF | X86_F_PCID | X86_F_SMEP | X86_F_SMAP | X86_F_UMIP | X86_F_1G,
		.host = HOST_V2,
		.leaf2 = { 0x55035a01, 0x00f0b2ff, 0, 0x09ca212c },
		.cache = { CACHE(DATA, 1, 8, 64), CACHE(CODE, 1, 4, 128), CACHE(UNIFIED, 2, 8, 512),
		    CACHE(UNIFIED, 3, 16, 8192) },
		.l2 = 256 << 16 | 6 << 12 | 64,
	}, {
		.name = "v1",
		.brand = "hyve virtual processor v1 (Core 2)",
		.leaf2 = { 0x05b0b101, 0x005657f0, 0, 0x2cb43049 },
		.cache = { CACHE(DATA, 1, 8, 64), CACHE(CODE, 1, 8, 64), CACHE(UNIFIED, 2, 16, 4096) },
		.l2 = 4096 << 16 | 8 << 12 | 64,
	},
};

/* The host's features, as far as they matter here. */
static uint64_t
host_features(void)
{
	static const struct {
		uint8_t		bit;		/* of leaf 1, ECX */
		uint64_t	feature;
	} map[] = {
		{ 0, X86_F_SSE3 }, { 1, X86_F_PCLMUL }, { 9, X86_F_SSSE3 }, { 13, X86_F_CX16 },
		{ 19, X86_F_SSE41 }, { 20, X86_F_SSE42 }, { 23, X86_F_POPCNT }, { 25, X86_F_AES },
	};
	unsigned a = 0, b = 0, c = 0, d = 0;
	uint64_t f = 0;

	(void)__get_cpuid(1, &a, &b, &c, &d);
	for (size_t i = 0; i < nitems(map); i++) {
		if ((c & B(map[i].bit)) != 0)
			f |= map[i].feature;
	}
	return (f);
}

int
x86_model_init(struct x86 *x)
{
	struct vmctx *vm = x->vcpu->vm;
	struct amd64_vm *av = amd64_vm_get(vm);
	uint64_t host = host_features();
	const char *name = vm->cpu_model != NULL ? vm->cpu_model : vm->md->cpu_models[0];

	for (size_t i = 0; i < nitems(models); i++) {
		if (strcmp(models[i].name, name) == 0)
			x->model = &models[i];
	}
	if (x->model == NULL)
		return (vm_fail(ENOTSUP, "vm '%s': soft: there is no processor model %s", vm->name, name));
	if ((x->model->host & ~host) != 0)
		return (vm_fail(ENOTSUP, "vm '%s': soft: processor model %s needs SSE3 to SSE4.2, POPCNT and "
		    "CMPXCHG16B, which this host does not have: choose model v1", vm->name, name));
	x->features = x->model->features & ~(OFFERED_IF_HOST & ~host);
	if (av == NULL)
		return (-1);
	av->features = av->possible = x->features;
	x->prng = clock_seed(vm) ^ (uint64_t)x->vcpu->id << 32;
	return (0);
}

void
x86_model_loaded(struct x86 *x)
{
	const struct amd64_vm *av = x->vcpu->vm->md_vm;

	/* From kvm there is nothing to go by. */
	if (av != NULL && av->features != 0)
		x->features = (x->features & ~OFFERED_IF_HOST) | (av->features & x->features & OFFERED_IF_HOST);
}

uint64_t
x86_cr4_bits(const struct x86 *x)
{
	uint64_t bits = CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_MCE | CR4_PGE | CR4_PCE | CR4_OSFXSR |
	    CR4_OSXMMEXCPT;

	if ((x->features & X86_F_UMIP) != 0)
		bits |= CR4_UMIP;
	if ((x->features & X86_F_FSGSBASE) != 0)
		bits |= CR4_FSGSBASE;
	if ((x->features & X86_F_PCID) != 0)
		bits |= CR4_PCIDE;
	if ((x->features & X86_F_SMEP) != 0)
		bits |= CR4_SMEP;
	if ((x->features & X86_F_SMAP) != 0)
		bits |= CR4_SMAP;
	return (bits);
}

uint64_t
x86_efer_bits(const struct x86 *x)
{
	return (EFER_SCE | EFER_LME | EFER_LMA |
	    ((x->s->misc_enable & MISC_XD_DISABLE) == 0 ? EFER_NXE : 0));
}

/* Bits by feature */
struct feature_bit {
	uint64_t	feature;
	uint8_t		bit;
};

static uint32_t
bits(const struct x86 *x, const struct feature_bit *f, size_t n)
{
	uint32_t r = 0;

	for (size_t i = 0; i < n; i++) {
		if ((x->features & f[i].feature) != 0)
			r |= B(f[i].bit);
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
static const struct feature_bit f1_ecx[] = {
	{ X86_F_SSE3, 0 }, { X86_F_PCLMUL, 1 }, { X86_F_SSSE3, 9 }, { X86_F_CX16, 13 }, { X86_F_PCID, 17 },
	{ X86_F_SSE41, 19 }, { X86_F_SSE42, 20 }, { X86_F_MOVBE, 22 }, { X86_F_POPCNT, 23 },
	{ X86_F_AES, 25 }, { X86_F_RDRAND, 30 },
};

/* TSC_ADJUST, ERMS; selectors of x87 exceptions are not kept */
#define	F7_EBX	(B(1) | B(9) | B(13))
static const struct feature_bit f7_ebx[] = {
	{ X86_F_FSGSBASE, 0 }, { X86_F_SMEP, 7 }, { X86_F_PCID, 10 }, { X86_F_SMAP, 20 },
};
static const struct feature_bit f7_ecx[] = { { X86_F_UMIP, 2 } };
/* FSRM, MD_CLEAR, IBRS and IBPB, STIBP, L1D_FLUSH, ARCH_CAPABILITIES, SSBD */
#define	F7_EDX	(B(4) | B(10) | B(26) | B(27) | B(28) | B(29) | B(31))

/*
 * BHI_CTRL, without which Linux clears the branch history by software whatever IA32_ARCH_CAPABILITIES
 * says; MCDT_NO
 */
#define	F72_EDX	(B(4) | B(5))

static const struct feature_bit fx1_ecx[] = { { X86_F_LAHF, 0 } };
#define	FX1_ECX	B(8)				/* PREFETCHW */
#define	FX1_EDX	B(29)				/* long mode */
#define	FX1_EDX_SYSCALL	B(11)
#define	FX1_EDX_NX	B(20)
static const struct feature_bit fx1_edx[] = { { X86_F_1G, 26 }, { X86_F_RDTSCP, 27 } };

#define	MAX_LEAF	0x16U
#define	MAX_LEAF_LIMITED 2U			/* IA32_MISC_ENABLE says so */
#define	MAX_HV		0x40000010U
#define	MAX_EXT		0x80000008U

#define	KVM_FEATURES	(B(1) | B(3) | B(24))	/* no I/O delays, clock at MSRs 4b564d0xh, which is stable */

static void
leaf1(struct x86 *x, uint32_t r[4])
{
	uint32_t n = 1U << amd64_package_bits(x->vcpu->vm);

	r[0] = amd64_signature(x->vcpu->vm);
	r[1] = (uint32_t)x->vcpu->id << 24 | (n > 255 ? 255 : n) << 16 | 8 << 8;	/* lines of 64 bytes */
	r[2] = F1_ECX | bits(x, f1_ecx, nitems(f1_ecx));
	r[3] = F1_EDX | (n > 1 ? F1_EDX_HTT : 0);
	if ((x->s->apic_base & APIC_BASE_EN) == 0)
		r[3] &= ~F1_EDX_APIC;
}

/* Caches: the highest level is the package's, the others a core's. */
static void
leaf4(struct x86 *x, uint32_t sub, uint32_t r[4])
{
	const struct x86_model *m = x->model;
	bool last;

	if (sub >= nitems(m->cache) || m->cache[sub][0] == 0)
		return;
	last = sub == nitems(m->cache) - 1 || m->cache[sub + 1][0] == 0;
	r[0] = m->cache[sub][0] | amd64_leaf4_ids(x->vcpu->vm, last);
	r[1] = m->cache[sub][1];
	r[2] = m->cache[sub][2];
	r[3] = last ? B(1) : 0;			/* inclusive */
}

static void
leaf7(struct x86 *x, uint32_t sub, uint32_t r[4])
{
	if (sub == 2)
		r[3] = F72_EDX;
	if (sub != 0)
		return;
	r[0] = 2;				/* the last subleaf */
	r[1] = F7_EBX | bits(x, f7_ebx, nitems(f7_ebx));
	r[2] = bits(x, f7_ecx, nitems(f7_ecx));
	r[3] = F7_EDX;
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
leaf15(struct x86 *x, uint32_t r[4])
{
	uint64_t hz = x->vcpu->vm->counter_hz, g = gcd(hz, CRYSTAL);

	if (hz / g > FACTOR_MAX)
		return;
	r[0] = (uint32_t)(CRYSTAL / g);
	r[1] = (uint32_t)(hz / g);
	r[2] = CRYSTAL;
}

static void
basic(struct x86 *x, uint32_t leaf, uint32_t sub, uint32_t r[4])
{
	switch (leaf) {
	case 0:
		r[0] = (x->s->misc_enable & MISC_LIMIT_CPUID) != 0 ? MAX_LEAF_LIMITED : MAX_LEAF;
		memcpy(&r[1], "Genu", 4);
		memcpy(&r[3], "ineI", 4);
		memcpy(&r[2], "ntel", 4);
		break;
	case 1:
		leaf1(x, r);
		break;
	case 2:
		memcpy(r, x->model->leaf2, sizeof(x->model->leaf2));
		break;
	case 4:
		leaf4(x, sub, r);
		break;
	case 6:
		r[0] = B(2);			/* the APIC's timer always runs */
		break;
	case 7:
		leaf7(x, sub, r);
		break;
	case 0xb:
		amd64_leafb(x->vcpu, sub, r);
		break;
	case 0x15:
		leaf15(x, r);
		break;
	case 0x16:
		r[0] = r[1] = (uint32_t)(x->vcpu->vm->counter_hz / 1000000);
		r[2] = 100;
		break;
	default:
		break;
	}
}

static void
hypervisor(struct x86 *x, uint32_t leaf, uint32_t r[4])
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
		r[0] = (uint32_t)(x->vcpu->vm->counter_hz / 1000);
		r[1] = CRYSTAL / 1000;
		break;
	default:
		break;
	}
}

static void
extended(struct x86 *x, uint32_t leaf, uint32_t r[4])
{
	char brand[48] = { 0 };

	switch (leaf) {
	case 0x80000000:
		r[0] = MAX_EXT;
		break;
	case 0x80000001:
		r[2] = bits(x, fx1_ecx, nitems(fx1_ecx)) | (x->model->host != 0 ? FX1_ECX : 0);
		r[3] = FX1_EDX | bits(x, fx1_edx, nitems(fx1_edx));
		/* SYSCALL is Intel's in 64-bit mode only, and said there only. */
		if (x86_64bit(x))
			r[3] |= FX1_EDX_SYSCALL;
		if ((x->s->misc_enable & MISC_XD_DISABLE) == 0)
			r[3] |= FX1_EDX_NX;
		break;
	case 0x80000002:
	case 0x80000003:
	case 0x80000004:
		memcpy(brand, x->model->brand, strlen(x->model->brand));
		memcpy(r, brand + 16 * (leaf - 0x80000002), 16);
		break;
	case 0x80000006:
		r[2] = x->model->l2;
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
x86_cpuid(struct x86 *x, uint32_t leaf, uint32_t sub, uint32_t r[4])
{
	uint32_t max = (x->s->misc_enable & MISC_LIMIT_CPUID) != 0 ? MAX_LEAF_LIMITED : MAX_LEAF;

	memset(r, 0, 4 * sizeof(r[0]));
	if (leaf >= 0x40000000 && leaf <= MAX_HV)
		hypervisor(x, leaf, r);
	else if (leaf >= 0x80000000 && leaf <= MAX_EXT)
		extended(x, leaf, r);
	else if (leaf >= 0x40000000 && leaf < 0x40000100)
		return;
	else
		/* Beyond the last leaf the highest basic one's data is returned. */
		basic(x, leaf <= max ? leaf : max, sub, r);
}
