/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * soft_amd64_code.h - guest code that is assembled beside the test that runs it, and a VM for it.  It ends with a write to port END.
 */
#ifndef _SOFT_AMD64_CODE_H_
#define	_SOFT_AMD64_CODE_H_

#include <vmmapi/amd64.h>

#include "vm_fixture.h"

#define	END	0xf4

/* Bytes name to name_end, assembled for 16, 32 or 64 bits. */
#define	GUEST(name, bits, text)							\
	extern const uint8_t name[], name##_end[];				\
	__asm__(".pushsection .rodata\n\t.code" #bits "\n" #name ":\n" text	\
	    "\n" #name "_end:\n\t.code64\n\t.popsection")
#define	FINISH	"\tout %al, $0xf4\n"

struct guest {
	struct vmctx	*vm;
	struct vcpu	*vcpu;
	uint8_t		*mem;
	struct vm_exit	 ex;
};

static inline void
guest_spec(struct guest *g, const struct vm_spec *spec, size_t mem)
{
	g->vm = tv_spec(spec, mem, 0);
	g->mem = vm_map_gpa(g->vm, 0, mem);
	CHECK(g->mem != NULL);
	g->vcpu = tv_cpu(g->vm, 0);
}

static inline void
guest_new(struct guest *g, size_t mem)
{
	struct vm_spec spec = { .size = sizeof(spec), .arch = VM_ARCH_AMD64, .accel = VM_ACCEL_SOFT };

	guest_spec(g, &spec, mem);
}

#define	get			tv_get
#define	set			tv_set
#define	SET(g, reg, val)	tv_set((g)->vcpu, VM_AMD64_REG_##reg, val)
#define	GET(g, reg)		tv_get((g)->vcpu, VM_AMD64_REG_##reg)

static inline void
poke(struct guest *g, uint64_t gpa, uint64_t val, size_t size)
{
	memcpy(g->mem + gpa, &val, size);
}

static inline uint64_t
peek(struct guest *g, uint64_t gpa, size_t size)
{
	uint64_t val = 0;

	memcpy(&val, g->mem + gpa, size);
	return (val);
}

static inline void
segments(struct vcpu *vcpu, uint16_t cs, uint64_t cs_base, uint32_t cs_limit, uint32_t cs_access,
    uint16_t ds, uint32_t limit, uint32_t access)
{
	static const int data[] = { VM_AMD64_REG_DS, VM_AMD64_REG_ES, VM_AMD64_REG_SS, VM_AMD64_REG_FS,
	    VM_AMD64_REG_GS };

	CHECK_EQ(vm_set_desc(vcpu, VM_AMD64_REG_CS, cs_base, cs_limit, cs_access), 0);
	set(vcpu, VM_AMD64_REG_CS, cs);
	for (size_t i = 0; i < sizeof(data) / sizeof(data[0]); i++) {
		CHECK_EQ(vm_set_desc(vcpu, data[i], 0, limit, access), 0);
		set(vcpu, data[i], ds);
	}
}

#endif /* _SOFT_AMD64_CODE_H_ */
