/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cpuid.c - which of the modelled processors (amd64/model.c) a guest has here, and what follows from that.
 *
 * All are Intel's.  Instructions that are executed by the host's own are there where the host has them.
 */
#include <cpuid.h>
#include <errno.h>
#include <string.h>

#include "sys.h"

#define	B(n)	(1U << (n))

/* Done by the host's own instructions. */
#define	BY_HOST	(X86_F_SSE3 | X86_F_SSSE3 | X86_F_SSE41 | X86_F_SSE42 | X86_F_POPCNT | X86_F_CX16 | X86_F_AES | X86_F_PCLMUL)
#define	OFFERED_IF_HOST	(X86_F_AES | X86_F_PCLMUL)
/* There are no registers for these, nor does anything decode them. */
#define	NEVER	(X86_F_LEVEL_V3 | X86_F_LEVEL_V4 | X86_F_XSAVE_MORE)

static uint64_t
possible(void)
{
	static const struct {
		uint8_t		bit;		/* of leaf 1, ECX */
		uint64_t	feature;
	} map[] = {
		{ 0, X86_F_SSE3 }, { 1, X86_F_PCLMUL }, { 9, X86_F_SSSE3 }, { 13, X86_F_CX16 },
		{ 19, X86_F_SSE41 }, { 20, X86_F_SSE42 }, { 23, X86_F_POPCNT }, { 25, X86_F_AES },
	};
	unsigned a = 0, b = 0, c = 0, d = 0;
	uint64_t f = ~(BY_HOST | NEVER);

	(void)__get_cpuid(1, &a, &b, &c, &d);
	for (size_t i = 0; i < nitems(map); i++) {
		if ((c & B(map[i].bit)) != 0)
			f |= map[i].feature;
	}
	return (f);
}

int
x86_model_fits(struct vmctx *vm)
{
	const char *name = vm->cpu_model != NULL ? vm->cpu_model : vm->md->cpu_models[0];
	const struct x86_model *model = amd64_model(name);

	if (model == NULL)
		return (vm_fail(ENOTSUP, "soft: it has no processor model %s, which is the host's own processor: choose v2, v1 or baseline", name));
	if ((model->need & NEVER) != 0)
		return (vm_fail(ENOTSUP, "soft: it has no processor model %s, which needs AVX and what goes with it: choose v2 or baseline, or kvm where the host "
		    "has that", name));
	return (amd64_model_fit(model, possible(), "soft"));
}

int
x86_model_init(struct x86 *x)
{
	struct vmctx *vm = x->vcpu->vm;
	struct amd64_vm *av = amd64_vm_get(vm);
	struct amd64_shown shown;

	if (av == NULL || x86_model_fits(vm) != 0)
		return (-1);
	x->model = amd64_model(vm->cpu_model != NULL ? vm->cpu_model : vm->md->cpu_models[0]);
	x->features = x->model->need | (x->model->may & possible());
	av->features = av->possible = x->features;
	shown = (struct amd64_shown){ .vcpu = x->vcpu, .model = x->model, .features = x->features };
	memset(av->xsave_seen, 0, sizeof(av->xsave_seen));
	memset(av->xsave_here, 0, sizeof(av->xsave_here));
	amd64_words(&shown, av->here);
	memcpy(av->seen, av->here, sizeof(av->seen));
	av->immune_seen = av->immune_here = (x->features & X86_F_ARCH_CAPS) != 0 ? X86_IMMUNE : 0;
	x->prng = clock_seed(vm) ^ (uint64_t)x->vcpu->id << 32;
	return (0);
}

void
x86_model_loaded(struct x86 *x)
{
	const struct amd64_vm *av = x->vcpu->vm->md_vm;

	/* There is nothing to go by in streams that are older than that. */
	if (av != NULL && av->features != 0)
		x->features = (x->features & ~(uint64_t)OFFERED_IF_HOST) | (av->features & x->features & OFFERED_IF_HOST);
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

void
x86_cpuid(struct x86 *x, uint32_t leaf, uint32_t sub, uint32_t r[4])
{
	const struct amd64_shown shown = { .vcpu = x->vcpu, .model = x->model, .features = x->features, .st = x->s };

	amd64_cpuid(&shown, leaf, sub, r);
}
