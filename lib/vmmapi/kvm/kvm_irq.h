/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kvm_irq.h - the parts of the kvm back end that kvm.c puts into its table.
 */
#ifndef _VMMAPI_KVM_IRQ_H_
#define	_VMMAPI_KVM_IRQ_H_

#include "kvm.h"

/* kvm_irq.c */
int	kvm_irq_create(struct vmctx *vm);
void	kvm_irq_destroy(struct vmctx *vm);
int	kvm_irq_set(struct vmctx *vm, unsigned line, bool level);
int	kvm_msi_send(struct vmctx *vm, uint32_t requester, uint64_t addr, uint32_t data);
int	kvm_irq_bind(struct vm_irq *irq, int trigger, int resample);
int	kvm_route_commit(struct vmctx *vm);
int	kvm_eoi_watch(struct vmctx *vm, unsigned line, bool on);
int	kvm_doorbell_add(struct vm_doorbell *db);
void	kvm_doorbell_remove(struct vm_doorbell *db);

/* kvm_memory.c */
void	kvm_log_choose(struct vmctx *vm);	/* before there are vCPUs */
int	kvm_mem_map(struct vmctx *vm, struct vm_mapping *map);
void	kvm_mem_unmap(struct vmctx *vm, struct vm_mapping *map);
int	kvm_dirty_start(struct vmctx *vm);
void	kvm_dirty_stop(struct vmctx *vm);
int	kvm_dirty_fetch(struct vmctx *vm, vm_paddr_t gpa, size_t len);

/* kvm_ring.c: kv->lock is held for harvests alone. */
int	kvm_ring_enable(struct kvm_vm *kv, uint32_t bytes);
int	kvm_ring_map(struct vcpu *vcpu);
void	kvm_ring_unmap(struct vcpu *vcpu);
/* Take what is in the rings into the VM's bitmap.  -1 with a sentence: what was taken is there, but stores to it may not be logged. */
int	kvm_ring_harvest(struct vmctx *vm);
/* KVM_EXIT_DIRTY_RING_FULL, without the lock. */
int	kvm_ring_full(struct vcpu *vcpu);

/* kvm_probe.c */
int	kvm_probe(enum vm_arch arch, bool fast);
int	kvm_fits(struct vmctx *vm);
int	kvm_open(const char *path);	/* the device; -1 with a sentence: why not, and what would help */

#endif /* _VMMAPI_KVM_IRQ_H_ */
