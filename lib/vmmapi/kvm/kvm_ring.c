/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kvm_ring.c - the kernel's dirty rings: each vCPU's thread puts into a ring of its own which pages its guest writes for the first time.
 *
 * A page that was put there can be written without a trace until the rings are reset, which protects what was taken out anew.  So a
 * harvest takes out first and resets then: a store before the reset is seen by who reads the page after the harvest, and one after it
 * comes into the ring again.  Processors that log on their own hand over what they have when the guest is left, which every vCPU does
 * within a fetch after the harvest (vm_grace()): such a page is in the next fetch, as dirty.c asks for.
 *
 * A ring that is nearly full makes KVM_RUN return, and whose ring it is harvests all of them.  Rings go into the VM's bitmap whenever that
 * happens, so a slow consumer costs nobody a page.
 */
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <errno.h>
#include <unistd.h>

#include "kvm_irq.h"

#define	RING_BYTES	(1U << 20)	/* of a vCPU: 64 Ki pages */

/* Rings are switched on before there are vCPUs: 0, or -1 if the kernel has none of this size, 0 for its best. */
int
kvm_ring_enable(struct kvm_vm *kv, uint32_t bytes)
{
	static const int caps[] = { KVM_CAP_DIRTY_LOG_RING_ACQ_REL, KVM_CAP_DIRTY_LOG_RING };

	for (size_t i = 0; i < nitems(caps); i++) {
		struct kvm_enable_cap cap = { .cap = (uint32_t)caps[i] };
		int max = ioctl(kv->kvmfd, KVM_CHECK_EXTENSION, caps[i]);

		if (max <= 0)
			continue;
		cap.args[0] = bytes != 0 ? bytes : (uint32_t)max < RING_BYTES ? (uint32_t)max : RING_BYTES;
		if (cap.args[0] > (uint32_t)max || kvm_ioctl(kv->vmfd, KVM_ENABLE_CAP, &cap) != 0)
			continue;
		kv->ring_bytes = (uint32_t)cap.args[0];
		return (0);
	}
	return (-1);
}

int
kvm_ring_map(struct vcpu *vcpu)
{
	struct kvm_vm *kv = kvm_vm(vcpu->vm);
	struct kvm_cpu *kc = kvm_cpu(vcpu);
	void *p;

	if (kv->log != KVM_LOG_RING)
		return (0);
	p = mmap(NULL, kv->ring_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, kc->fd, (off_t)KVM_DIRTY_LOG_PAGE_OFFSET * sysconf(_SC_PAGESIZE));
	if (p == MAP_FAILED)
		return (vm_fail_sys(errno, "vcpu %d: kvm: its dirty ring cannot be mapped", vcpu->id));
	kc->ring = p;
	return (0);
}

void
kvm_ring_unmap(struct vcpu *vcpu)
{
	struct kvm_cpu *kc = kvm_cpu(vcpu);

	if (kc->ring != NULL)
		(void)munmap(kc->ring, kvm_vm(vcpu->vm)->ring_bytes);
	kc->ring = NULL;
}

/* What the ring says of a slot that is gone is nobody's. */
static void
page_mark(struct vmctx *vm, const struct kvm_vm *kv, uint32_t slot, uint64_t page)
{
	const struct kvm_slot *s = &kv->slots[slot & 0xffff];
	const uint64_t one = 1;

	if ((slot & 0xffff) < kv->nslots && s->used && page < s->len / VM_PAGE_SIZE)
		vm_dirty_or(vm, &vm->segs[s->segid], s->segoff + page * VM_PAGE_SIZE, &one, 1);
}

/* Take out all that is in a ring; how much that was. */
static unsigned
ring_take(struct vmctx *vm, const struct kvm_vm *kv, struct kvm_cpu *kc)
{
	uint32_t mask = kv->ring_bytes / sizeof(*kc->ring) - 1;
	unsigned n = 0;

	for (; n <= mask; n++) {
		struct kvm_dirty_gfn *e = &kc->ring[kc->ring_next & mask];

		/* The kernel writes the flags last, we do when the rest was read. */
		if ((__atomic_load_n(&e->flags, __ATOMIC_ACQUIRE) & KVM_DIRTY_GFN_F_MASK) != KVM_DIRTY_GFN_F_DIRTY)
			break;
		page_mark(vm, kv, e->slot, e->offset);
		__atomic_store_n(&e->flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
		kc->ring_next++;
	}
	return (n);
}

int
kvm_ring_harvest(struct vmctx *vm)
{
	struct kvm_vm *kv = kvm_vm(vm);

	for (int i = 0; i < VM_MAXCPU; i++) {
		struct kvm_cpu *kc = vm->vcpus[i] != NULL ? kvm_cpu(vm->vcpus[i]) : NULL;

		if (kc != NULL && kc->ring != NULL && ring_take(vm, kv, kc) != 0)
			kv->ring_taken = true;
	}
	if (!kv->ring_taken)
		return (0);
	if (kvm_ioctl(kv->vmfd, KVM_RESET_DIRTY_RINGS, NULL) < 0)
		return (vm_fail_sys(errno, "vm '%s': kvm: its dirty rings cannot be reset", vm->name));
	kv->ring_taken = false;
	return (0);
}

int
kvm_ring_full(struct vcpu *vcpu)
{
	struct kvm_vm *kv = kvm_vm(vcpu->vm);
	int error;

	pthread_mutex_lock(&kv->lock);
	error = kvm_ring_harvest(vcpu->vm);
	pthread_mutex_unlock(&kv->lock);
	return (error);
}
