/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kvm_amd64_cpuid.c - what a guest on kvm is told of its processor: that of the VM's model
 * (amd64/model.c), if it has one and this host has all that it needs, or what the kernel supports, less
 * whatever has state that struct amd64_state does not carry (tiles,
 * protection keys, shadow stacks, nested virtualization).  A guest that never sees such a feature
 * can be saved and restored whole.
 *
 * Leaves: Intel SDM vol. 2A CPUID, AMD APM vol. 3 appendix E, Documentation/virt/kvm/x86/cpuid.rst
 * of the kernel.
 */
#include <sys/ioctl.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kvm_amd64.h"

#define	B(n)		(1U << (n))
#define	MAX_ENTRIES	256U

/* Features that are passed on where the kernel has them, by leaf and register. */
#define	F1_ECX	(B(0) | B(1) | B(9) | B(13) | B(17) | B(19) | B(20) | B(21) | B(22) | B(23) | B(24) | B(25) | B(30) | B(31))
		/*
		 * SSE3 PCLMULQDQ SSSE3 CX16 PCID SSE4.1 SSE4.2 x2APIC MOVBE POPCNT TSC-deadline AES
		 * RDRAND hypervisor
		 */
#define	F1_EDX	(B(0) | B(1) | B(2) | B(3) | B(4) | B(5) | B(6) | B(7) | B(8) | B(9) | B(11) | B(12) | B(13) | B(14) | B(15) | \
		 B(16) | B(17) | B(19) | B(23) | B(24) | B(25) | B(26) | B(27))
		/*
		 * FPU VME DE PSE TSC MSR PAE MCE CX8 APIC SEP MTRR PGE MCA CMOV PAT PSE-36 CLFSH
		 * MMX FXSR SSE SSE2 SS
		 */
#define	F7_EBX	(B(0) | B(3) | B(7) | B(8) | B(9) | B(10) | B(18) | B(19) | B(20) | B(23) | B(24) | B(29))
		/* FSGSBASE BMI1 SMEP BMI2 ERMS INVPCID RDSEED ADX SMAP CLFLUSHOPT CLWB SHA */
#define	F7_ECX	(B(2) | B(22))					/* UMIP RDPID */
#define	F7_EDX	(B(4) | B(10) | B(26) | B(27) | B(28) | B(29) | B(31))
		/* FSRM MD_CLEAR IBRS/IBPB STIBP L1D_FLUSH ARCH_CAPABILITIES SSBD */
#define	FX1_ECX	(B(0) | B(1) | B(4) | B(5) | B(6) | B(7) | B(8))	/* LAHF, legacy, CR8, LZCNT, SSE4a, misaligned SSE, prefetch */
#define	FX8_EBX	(B(0) | B(12) | B(14) | B(15) | B(17) | B(24))	/* CLZERO IBPB IBRS STIBP STIBP-always SSBD */
#define	KVM_FEATURES (B(1) | B(3) | B(24))			/* no I/O delays, clock with MSRs at 4b564d0xh, stable clock */

/* ... and what goes with components of extended state. */
#define	F1_ECX_XSAVE	B(26)
#define	F1_ECX_AVX	(B(12) | B(28) | B(29))			/* FMA AVX F16C */
#define	F7_EBX_AVX	B(5)					/* AVX2 */
#define	F7_ECX_AVX	(B(8) | B(9) | B(10))			/* GFNI VAES VPCLMULQDQ */
#define	F7_EBX_AVX512	(B(16) | B(17) | B(21) | B(28) | B(30) | B(31))	/* F DQ IFMA CD BW VL */
#define	F7_ECX_AVX512	(B(1) | B(6) | B(11) | B(12) | B(14))	/* VBMI VBMI2 VNNI BITALG VPOPCNTDQ */
#define	F7_EDX_AVX512	(B(8) | B(23))				/* VP2INTERSECT FP16 */
#define	FD1_EAX		(B(0) | B(1) | B(2))			/* XSAVEOPT XSAVEC XGETBV of XINUSE */

static bool
is_intel(const struct kvm_cpuid2 *c)
{
	for (uint32_t i = 0; i < c->nent; i++) {
		if (c->entries[i].function == 0)
			return (c->entries[i].ebx == 0x756e6547);	/* "Genu" */
	}
	return (false);
}

/* Extended state: the components that the state page has.  The kernel has EBX of the first subleaf follow XCR0. */
static bool
leafd_filter(const struct amd64_vm *av, uint32_t xcr0, struct kvm_cpuid_entry2 *e)
{
	if (xcr0 == 0)
		return (false);
	switch (e->index) {
	case 0:
		e->eax = xcr0;
		e->ecx = amd64_xsave_size(av, xcr0);
		e->edx = 0;
		return (true);
	case 1:
		e->eax &= FD1_EAX;
		e->ebx = e->ecx = e->edx = 0;
		return (true);
	default:
		return (e->index < 32 && (xcr0 >> e->index & 1) != 0);
	}
}

/* Cut one leaf down; false: drop it. */
static bool
leaf_filter(struct vmctx *vm, struct kvm_cpuid_entry2 *e, bool intel)
{
	const struct kvm_md_vm *md = kvm_vm(vm)->md;
	bool avx = (md->xcr0 & XCR0_AVX) != 0, avx512 = (md->xcr0 & XCR0_AVX512) != 0;

	switch (e->function) {
	case 0x0:
		if (e->eax > 0x16)
			e->eax = 0x16;
		return (true);
	case 0x1:
		e->ecx &= F1_ECX | (md->xcr0 != 0 ? F1_ECX_XSAVE : 0) | (avx ? F1_ECX_AVX : 0);
		e->ecx |= B(21) | B(31);
		if (md->has_tsc_deadline)
			e->ecx |= B(24);
		e->edx &= F1_EDX;
		return (true);
	case 0x7:
		if (e->index != 0)
			return (false);
		e->eax = 0;
		e->ebx &= F7_EBX | (avx ? F7_EBX_AVX : 0) | (avx512 ? F7_EBX_AVX512 : 0);
		e->ecx &= F7_ECX | (avx ? F7_ECX_AVX : 0) | (avx512 ? F7_ECX_AVX512 : 0);
		e->edx &= F7_EDX | (avx512 ? F7_EDX_AVX512 : 0);
		return (true);
	case 0xd:
		return (leafd_filter(vm->md_vm, md->xcr0, e));
	case 0x2:
	case 0x4:
	case 0x6:
	case 0x80000000:
	case 0x80000002:
	case 0x80000003:
	case 0x80000004:
	case 0x80000005:
	case 0x80000006:
	case 0x80000007:
		if (e->function == 0x80000000 && e->eax > 0x80000008)
			e->eax = 0x80000008;
		if (e->function == 0x6)
			e->eax = e->ebx = e->ecx = e->edx = 0;
		return (true);
	case 0x80000001:
		e->ecx &= FX1_ECX;
		return (true);
	case 0x80000008:
		e->ebx = intel ? 0 : e->ebx & FX8_EBX;
		return (true);
	case 0x40000000:
		e->eax = 0x40000001;
		return (true);
	case 0x40000001:
		e->eax &= KVM_FEATURES;
		e->ebx = e->ecx = e->edx = 0;
		return (true);
	default:
		return (false);
	}
}

/* The topology leaf, which is made here. */
static void
leaf_add(struct kvm_cpuid2 *c, uint32_t function, uint32_t index)
{
	struct kvm_cpuid_entry2 *e = &c->entries[c->nent++];

	memset(e, 0, sizeof(*e));
	e->function = function;
	e->index = index;
	e->flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
}

/* What the kernel supports. */
static struct kvm_cpuid2 *
supported(int kvmfd)
{
	struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + MAX_ENTRIES * sizeof(c->entries[0]));

	if (c == NULL)
		return (vm_fail_null(ENOMEM, "kvm: out of memory"));
	c->nent = MAX_ENTRIES - 2;
	if (kvm_ioctl(kvmfd, KVM_GET_SUPPORTED_CPUID, c) == 0)
		return (c);
	(void)vm_fail_sys(errno, "kvm does not tell the processor's features");
	free(c);
	return (NULL);
}

static void
words_of(const struct kvm_cpuid2 *c, uint32_t w[AMD64_NWORDS])
{
	int word;

	memset(w, 0, AMD64_NWORDS * sizeof(w[0]));
	for (uint32_t i = 0; i < c->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &c->entries[i];
		const uint32_t regs[] = { e->eax, e->ebx, e->ecx, e->edx };

		for (unsigned r = 0; r < nitems(regs); r++) {
			if ((word = amd64_words_index(e->function, e->index, r)) >= 0)
				w[word] = regs[r];
		}
	}
}

/* Components of extended state that guests can have here, and where AVX-512's are in images of it. */
static uint32_t
components(const struct kvm_cpuid2 *c, uint32_t at[3])
{
	uint32_t w[AMD64_NWORDS], there = XCR0_X87_SSE, xcr0;

	memset(at, 0, 3 * sizeof(at[0]));
	words_of(c, w);
	if ((w[W1_ECX] & F1_ECX_XSAVE) == 0 || (w[WD_EAX] & XCR0_X87_SSE) != XCR0_X87_SSE)
		return (0);
	for (uint32_t i = 0; i < c->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &c->entries[i];

		for (unsigned n = 0; e->function == 0xd && n < AMD64_NXPARTS; n++) {
			const struct amd64_xpart *p = &amd64_xparts[n];

			if (p->nr != e->index || p->size != e->eax || (p->nr == 2 && e->ebx != XSAVE_AVX_AT))
				continue;
			there |= B(p->nr);
			if (p->nr >= 5)
				at[p->nr - 5] = e->ebx;
		}
	}
	xcr0 = w[WD_EAX] & there;
	if ((xcr0 & XCR0_AVX) == 0 || (w[W1_ECX] & B(28)) == 0)
		xcr0 = XCR0_X87_SSE;
	if ((xcr0 & XCR0_AVX512) != XCR0_AVX512 || (w[W7_EBX] & B(16)) == 0)
		xcr0 &= ~XCR0_AVX512;
	return (xcr0);
}

/* X86_F_* of what the kernel supports, without instructions whose registers are not to be had. */
static uint64_t
features_of(const struct kvm_cpuid2 *c)
{
	uint32_t w[AMD64_NWORDS], at[3], xcr0 = components(c, at);
	uint64_t f;

	words_of(c, w);
	f = amd64_features(w);
	if (xcr0 == 0)
		f &= ~(X86_F_XSAVE | X86_F_XSAVE_MORE);
	if ((xcr0 & XCR0_AVX) == 0)
		f &= ~(X86_F_AVX | X86_F_AVX2 | X86_F_F16C | X86_F_FMA);
	if ((xcr0 & XCR0_AVX512) == 0)
		f &= ~X86_F_LEVEL_V4;
	return (f);
}

int
kvm_md_fits(struct vmctx *vm, int kvmfd)
{
	const struct x86_model *model = amd64_model(vm->cpu_model);
	struct kvm_cpuid2 *c;
	uint64_t have;

	if (model == NULL)
		return (0);
	c = supported(kvmfd);
	if (c == NULL)
		return (-1);
	have = features_of(c);
	free(c);
	return (amd64_model_fit(model, have, "kvm"));
}

/*
 * What of IA32_ARCH_CAPABILITIES is told (SDM vol. 4 table 2-2): how the processor is affected, and nothing of registers beside it, which are not there.
 */
#define	ARCH_CAPS_TOLD									\
	(1ULL << 0 | 1ULL << 1 | 1ULL << 2 | 1ULL << 3 | 1ULL << 4 | 1ULL << 5 | 1ULL << 6 | 1ULL << 8 | 1ULL << 13 | 1ULL << 14 | 1ULL << 15 | \
	1ULL << 17 | 1ULL << 19 | 1ULL << 20 | 1ULL << 24 | 1ULL << 26 | 1ULL << 27 | 1ULL << 28 | 1ULL << 62)

/* IA32_ARCH_CAPABILITIES as the kernel has it for guests. */
static uint64_t
immune(int kvmfd)
{
	union {
		struct kvm_msrs	head;
		uint8_t		space[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
	} l;

	memset(&l, 0, sizeof(l));
	l.head.nmsrs = 1;
	l.head.entries[0].index = MSR_ARCH_CAPABILITIES;
	return (kvm_ioctl(kvmfd, KVM_GET_MSRS, &l) == 1 ? l.head.entries[0].data & ARCH_CAPS_TOLD : 0);
}

static int
model_init(struct vmctx *vm)
{
	struct kvm_md_vm *md = kvm_vm(vm)->md;
	struct amd64_vm *av = vm->md_vm;
	struct vcpu none = { .vm = vm };
	struct amd64_shown shown;

	md->model = amd64_model(vm->cpu_model);
	if (md->model != NULL) {
		md->features = md->model->need | (md->model->may & features_of(md->cpuid));
		av->features = av->possible = md->features;
		shown = (struct amd64_shown){ .vcpu = &none, .model = md->model, .features = md->features };
		amd64_words(&shown, av->here);
	} else {
		av->features = av->possible = 0;
		words_of(md->cpuid, av->here);
	}
	if ((av->here[WD_EAX] & XCR0_AVX512) == 0)
		memset(av->xsave_here, 0, sizeof(av->xsave_here));
	memcpy(av->xsave_seen, av->xsave_here, sizeof(av->xsave_seen));
	av->immune_here = (av->here[W7_EDX] & B(29)) != 0 ? immune(kvm_vm(vm)->kvmfd) : 0;
	memcpy(av->seen, av->here, sizeof(av->seen));
	av->immune_seen = av->immune_here;
	return (0);
}

int
kvm_cpuid_init(struct vmctx *vm)
{
	struct kvm_md_vm *md = kvm_vm(vm)->md;
	struct amd64_vm *av = amd64_vm_get(vm);
	struct kvm_cpuid2 *c = av == NULL ? NULL : supported(kvm_vm(vm)->kvmfd);
	uint32_t n = 0;
	bool intel;

	if (c == NULL)
		return (-1);
	md->cpuid = c;
	md->xcr0 = components(c, av->xsave_here);
	intel = is_intel(c);
	md->amd = !intel;
	for (uint32_t i = 0; i < c->nent; i++) {
		struct kvm_cpuid_entry2 e = c->entries[i];

		if (leaf_filter(vm, &e, intel))
			c->entries[n++] = e;
	}
	c->nent = n;
	leaf_add(c, 0xb, 0);
	leaf_add(c, 0xb, 1);
	return (model_init(vm));
}

bool
kvm_cpuid_has(struct vmctx *vm, uint32_t leaf, int reg, unsigned bit)
{
	const struct amd64_vm *av = vm->md_vm;
	int word = amd64_words_index(leaf, 0, (unsigned)reg);

	return (av != NULL && word >= 0 && (av->here[word] >> bit & 1) != 0);
}

/* The vCPU's own numbers: APIC id and topology.  The id is the vCPU's number. */
static void
leaf_vcpu(struct vcpu *vcpu, struct kvm_cpuid_entry2 *e)
{
	const struct vmctx *vm = vcpu->vm;
	unsigned n = amd64_package_cpus(vm), ids = 1U << amd64_package_bits(vm);
	uint32_t r[4];

	switch (e->function) {
	case 0x1:
		e->ebx = (e->ebx & 0xff00) | (uint32_t)vcpu->id << 24 | (ids > 255 ? 255 : ids) << 16;
		if (n > 1)
			e->edx |= B(28);	/* HTT: the count in EBX is valid */
		break;
	case 0x4:
		/* Level 3 is the package's, the others a core's. */
		if ((e->eax & 0x1f) != 0)
			e->eax = (e->eax & 0x3fff) | amd64_leaf4_ids(vm, (e->eax >> 5 & 7) >= 3);
		break;
	case 0xb:
		amd64_leafb(vcpu, e->index, r);
		e->eax = r[0];
		e->ebx = r[1];
		e->ecx = r[2];
		e->edx = r[3];
		break;
	case 0x80000001:
		if (n > 1)
			e->ecx |= is_intel(kvm_vm(vcpu->vm)->md->cpuid) ? 0 : B(1);
		break;
	case 0x80000008:
		if (!is_intel(kvm_vm(vcpu->vm)->md->cpuid))
			e->ecx = amd64_package_bits(vm) << 12 | (n - 1);
		break;
	}
}

/* All leaves of a model.  What follows registers (the APIC's and OSXSAVE's bits) the kernel sees to. */
static void
model_fill(struct vcpu *vcpu, struct kvm_cpuid2 *c)
{
	static const struct {
		uint32_t	first, last;
		uint32_t	subs;		/* 0: the leaf has none */
	} leaves[] = {
		{ 0x0, 0x2, 0 }, { 0x4, 0x4, 5 }, { 0x6, 0x6, 0 }, { 0x7, 0x7, 3 }, { 0xb, 0xb, 2 }, { 0xd, 0xd, 8 }, { 0x15, 0x16, 0 },
		{ 0x40000000, 0x40000001, 0 }, { 0x40000010, 0x40000010, 0 }, { 0x80000000, 0x80000008, 0 },
	};
	const struct kvm_md_vm *md = kvm_vm(vcpu->vm)->md;
	const struct amd64_shown shown = { .vcpu = vcpu, .model = md->model, .features = md->features };
	uint32_t r[4];

	c->nent = 0;
	for (size_t i = 0; i < nitems(leaves); i++) {
		for (uint32_t leaf = leaves[i].first; leaf <= leaves[i].last; leaf++) {
			for (uint32_t sub = 0; sub == 0 || sub < leaves[i].subs; sub++) {
				amd64_cpuid(&shown, leaf, sub, r);
				c->entries[c->nent++] = (struct kvm_cpuid_entry2){ .function = leaf, .index = sub,
				    .flags = leaves[i].subs != 0 ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0, .eax = r[0], .ebx = r[1], .ecx = r[2], .edx = r[3] };
			}
		}
	}
}

int
kvm_cpuid_set(struct vcpu *vcpu)
{
	const struct kvm_md_vm *md = kvm_vm(vcpu->vm)->md;
	const struct kvm_cpuid2 *from = md->cpuid;
	struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + MAX_ENTRIES * sizeof(c->entries[0]));
	int error = 0;

	if (c == NULL)
		return (vm_fail(ENOMEM, "vcpu %d: kvm: out of memory", vcpu->id));
	if (md->model != NULL)
		model_fill(vcpu, c);
	else {
		memcpy(c, from, sizeof(*from) + from->nent * sizeof(from->entries[0]));
		for (uint32_t i = 0; i < c->nent; i++)
			leaf_vcpu(vcpu, &c->entries[i]);
	}
	if (kvm_ioctl(kvm_cpu(vcpu)->fd, KVM_SET_CPUID2, c) != 0)
		error = vm_fail_sys(errno, "vcpu %d: kvm does not take the processor's features", vcpu->id);
	free(c);
	return (error);
}
