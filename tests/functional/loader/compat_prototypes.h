/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * compat_prototypes.h - the prototypes that out-of-tree programs were promised, as pointers that
 * only a function of exactly that type fits.  Included by a C and a C++ program after bhyve's
 * header names.
 */
#ifndef _COMPAT_PROTOTYPES_H_
#define	_COMPAT_PROTOTYPES_H_

struct promised {
	int		(*create)(const char *);
	struct vmctx	*(*open)(const char *);
	void		(*close)(struct vmctx *);
	void		(*destroy)(struct vmctx *);
	int		(*reinit)(struct vmctx *);
	struct vcpu	*(*vcpu_open)(struct vmctx *, int);
	void		(*vcpu_close)(struct vcpu *);
	int		(*id)(struct vcpu *);
	int		(*parse_memsize)(const char *, size_t *);
	int		(*setup_memory)(struct vmctx *, size_t, enum vm_mmap_style);
	void		*(*map_gpa)(struct vmctx *, vm_paddr_t, size_t);
	uint32_t	(*lowmem_limit)(struct vmctx *);
	size_t		(*lowmem_size)(struct vmctx *);
	size_t		(*highmem_size)(struct vmctx *);
	void		(*set_memflags)(struct vmctx *, int);
	int		(*get_memflags)(struct vmctx *);
	int		(*set_register)(struct vcpu *, int, uint64_t);
	int		(*get_register)(struct vcpu *, int, uint64_t *);
	int		(*get_capability)(struct vcpu *, enum vm_cap_type, int *);
	int		(*set_capability)(struct vcpu *, enum vm_cap_type, int);
	int		(*run)(struct vcpu *, struct vm_run *);
#ifdef VMMAPI_COMPAT_ARM64
	int		(*inject_exception)(struct vcpu *, uint64_t, uint64_t);
	int		(*assert_irq)(struct vmctx *, uint32_t);
	int		(*attach_vgic)(struct vmctx *, uint64_t, size_t, uint64_t, size_t);
#else
	int		(*set_desc)(struct vcpu *, int, uint64_t, uint32_t, uint32_t);
	int		(*get_desc)(struct vcpu *, int, uint64_t *, uint32_t *, uint32_t *);
	int		(*get_seg_desc)(struct vcpu *, int, struct seg_desc *);
	int		(*freebsd)(struct vcpu *, uint64_t, uint64_t, uint64_t, uint64_t);
	int		(*freebsd_i386)(struct vcpu *, uint32_t, uint32_t, uint32_t);
	void		(*freebsd_gdt)(uint64_t *);
	int		(*inject_exception)(struct vcpu *, int, int, uint32_t, int);
	int		(*inject_nmi)(struct vcpu *);
	int		(*lapic_msi)(struct vmctx *, uint64_t, uint64_t);
	int		(*isa_assert_irq)(struct vmctx *, int, int);
#endif
};

static const struct promised promised = {
	vm_create, vm_open, vm_close, vm_destroy, vm_reinit, vm_vcpu_open, vm_vcpu_close, vcpu_id, vm_parse_memsize,
	vm_setup_memory, vm_map_gpa, vm_get_lowmem_limit, vm_get_lowmem_size, vm_get_highmem_size, vm_set_memflags,
	vm_get_memflags, vm_set_register, vm_get_register, vm_get_capability, vm_set_capability, vm_run,
#ifdef VMMAPI_COMPAT_ARM64
	vm_inject_exception, vm_assert_irq, vm_attach_vgic,
#else
	vm_set_desc, vm_get_desc, vm_get_seg_desc, vm_setup_freebsd_registers, vm_setup_freebsd_registers_i386,
	vm_setup_freebsd_gdt, vm_inject_exception, vm_inject_nmi, vm_lapic_msi, vm_isa_assert_irq,
#endif
};

/* What programs test with the preprocessor. */
#if VMMAPI_VERSION != 0200 || !defined(VM_MEM_F_INCORE) || !defined(VM_MEM_F_WIRED) || VM_MEM_F_INCORE != 0x01 || \
    VM_MEM_F_WIRED != 0x02
#error "VMMAPI_VERSION or VM_MEM_F_*"
#endif

#endif /* _COMPAT_PROTOTYPES_H_ */
