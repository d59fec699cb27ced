/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mmu.c - guest-physical memory and ports as a core of the software back end sees them.
 *
 * A core is in guest code here, so the memory map stands still; where an access goes to a device,
 * the vCPU leaves the guest for as long as the device's code runs, and everything derived from the
 * map before is void afterwards.
 *
 * Plain accesses are acquire loads and release stores: on an amd64 host that keeps the order an
 * amd64 guest expects (SDM vol. 3 8.2.2), and it keeps aligned accesses whole.  A page is marked
 * dirty before it is stored to; a fetch of the dirty bitmap waits until this vCPU has passed an
 * event check, and thus for the store.
 */
#include <string.h>

#include "hostmem.h"
#include "soft.h"

struct vm_mapping *
soft_mapping(struct soft_cpu *cpu, vm_paddr_t gpa)
{
	struct vmctx *vm = cpu->vcpu->vm;
	uint64_t gen = atomic_load_explicit(&vm->map_gen, memory_order_relaxed);
	struct vm_mapping *m = cpu->last;

	if (m != NULL && cpu->last_gen == gen && gpa >= m->gpa && gpa - m->gpa < m->len)
		return (m);
	m = mem_lookup(vm, gpa);
	if (m != NULL) {
		cpu->last = m;
		cpu->last_gen = gen;
	}
	return (m);
}

void *
soft_host(struct soft_cpu *cpu, vm_paddr_t gpa, unsigned size, int prot)
{
	struct vmctx *vm = cpu->vcpu->vm;
	struct vm_mapping *m = soft_mapping(cpu, gpa);
	size_t off;

	if (m == NULL || (m->prot & prot) != prot)
		return (NULL);
	off = gpa - m->gpa;
	if (size > m->len - off)
		return (NULL);
	if ((prot & VM_PROT_WRITE) != 0 && atomic_load_explicit(&vm->dirty_users,
	    memory_order_relaxed) != 0)
		dirty_mark_seg(vm, &vm->segs[m->segid], m->segoff + off, size);
	return (m->host + off);
}

void
soft_wrote(struct soft_cpu *cpu, vm_paddr_t gpa, unsigned size)
{
	struct vm_mapping *m;

	if (cpu->code == NULL)
		return;
	m = soft_mapping(cpu, gpa);
	if (m != NULL)
		soft_code_wrote(cpu, m->segid, m->segoff + (gpa - m->gpa), size);
}

static uint64_t
mask(unsigned size)
{
	return (size >= 8 ? UINT64_MAX : (1ULL << (8 * size)) - 1);
}

/* Devices, and what nobody claimed. */

static struct vm_exit *
access_exit(struct soft_cpu *cpu, enum vm_space space, uint64_t addr, unsigned size, bool write,
    uint64_t data)
{
	struct vm_exit *ex = soft_exit(cpu, space == VM_SPACE_MEM ? VM_EXIT_MMIO : VM_EXIT_IO,
	    !write);

	if (space == VM_SPACE_MEM) {
		ex->u.mmio.gpa = addr;
		ex->u.mmio.data = data;
		ex->u.mmio.size = (uint8_t)size;
		ex->u.mmio.write = write;
	} else {
		ex->u.io.port = (uint16_t)addr;
		ex->u.io.data = data;
		ex->u.io.size = (uint8_t)size;
		ex->u.io.write = write;
	}
	if (!write)
		cpu->open_addr = addr;
	return (ex);
}

static enum soft_access
device_read(struct soft_cpu *cpu, enum vm_space space, uint64_t addr, unsigned size, uint64_t *val)
{
	struct vcpu *vcpu = cpu->vcpu;
	enum vm_exitcode code = space == VM_SPACE_MEM ? VM_EXIT_MMIO : VM_EXIT_IO;
	uint64_t v = UINT64_MAX;
	bool done;

	if (soft_replied(cpu, code, addr, &v)) {
		*val = v & mask(size);
		return (SOFT_DONE);
	}
	soft_leave(cpu);
	done = vm_dispatch(vcpu->vm, vcpu, space, addr, size, false, &v);
	soft_reenter(cpu);
	*val = v & mask(size);
	/*
	 * A read behind a write that is already an exit: the instruction is not executed again, so
	 * this reads all ones.
	 */
	if (done || cpu->exiting)
		return (SOFT_DONE);
	access_exit(cpu, space, addr, size, false, 0);
	return (SOFT_MMIO_EXIT);
}

static enum soft_access
device_write(struct soft_cpu *cpu, enum vm_space space, uint64_t addr, unsigned size, uint64_t val)
{
	struct vcpu *vcpu = cpu->vcpu;
	uint64_t v = val & mask(size);
	bool done;

	soft_leave(cpu);
	done = vm_dispatch(vcpu->vm, vcpu, space, addr, size, true, &v);
	soft_reenter(cpu);
	if (done)
		return (SOFT_DONE);
	access_exit(cpu, space, addr, size, true, val & mask(size));
	return (SOFT_MMIO_EXIT);
}

/*
 * An access with memory on at least one side of a page boundary.  Memory is copied; the rest goes
 * to devices in the largest naturally sized pieces.
 */
static enum soft_access
load_split(struct soft_cpu *cpu, vm_paddr_t gpa, unsigned size, uint64_t *val)
{
	uint64_t v = 0, part;
	unsigned n, done;

	for (done = 0; done < size; done += n) {
		unsigned left = (unsigned)(VM_PAGE_SIZE - ((gpa + done) & (VM_PAGE_SIZE - 1)));
		void *p;

		n = size - done < left ? size - done : left;
		p = soft_host(cpu, gpa + done, n, VM_PROT_READ);
		part = 0;
		if (p != NULL) {
			host_read(&part, p, n);
		} else {
			n = n >= 4 ? 4 : n >= 2 ? 2 : 1;
			if (device_read(cpu, VM_SPACE_MEM, gpa + done, n, &part) != SOFT_DONE)
				return (SOFT_MMIO_EXIT);
		}
		v |= part << (8 * done);
	}
	*val = v;
	return (SOFT_DONE);
}

static enum soft_access
store_split(struct soft_cpu *cpu, vm_paddr_t gpa, unsigned size, uint64_t val)
{
	enum soft_access r = SOFT_DONE;
	uint64_t part;
	unsigned n, done;

	for (done = 0; done < size; done += n) {
		unsigned left = (unsigned)(VM_PAGE_SIZE - ((gpa + done) & (VM_PAGE_SIZE - 1)));
		void *p;

		n = size - done < left ? size - done : left;
		p = soft_host(cpu, gpa + done, n, VM_PROT_WRITE);
		part = val >> (8 * done);
		if (p != NULL) {
			host_write(p, &part, n);
			soft_wrote(cpu, gpa + done, n);
		} else {
			n = n >= 4 ? 4 : n >= 2 ? 2 : 1;
			if (device_write(cpu, VM_SPACE_MEM, gpa + done, n, part) != SOFT_DONE)
				r = SOFT_MMIO_EXIT;
		}
	}
	return (r);
}

static bool
crosses(vm_paddr_t gpa, unsigned size)
{
	return ((gpa & (VM_PAGE_SIZE - 1)) + size > VM_PAGE_SIZE);
}

enum soft_access
soft_load(struct soft_cpu *cpu, vm_paddr_t gpa, unsigned size, uint64_t *val)
{
	const void *p = soft_host(cpu, gpa, size, VM_PROT_READ);

	if (p != NULL) {
		*val = host_load(p, size);
		return (SOFT_DONE);
	}
	if (crosses(gpa, size) && (soft_host(cpu, gpa, 1, VM_PROT_READ) != NULL ||
	    soft_host(cpu, gpa + size - 1, 1, VM_PROT_READ) != NULL))
		return (load_split(cpu, gpa, size, val));
	return (device_read(cpu, VM_SPACE_MEM, gpa, size, val));
}

enum soft_access
soft_store(struct soft_cpu *cpu, vm_paddr_t gpa, unsigned size, uint64_t val)
{
	void *p = soft_host(cpu, gpa, size, VM_PROT_WRITE);

	if (p != NULL) {
		host_store(p, size, val);
		soft_wrote(cpu, gpa, size);
		return (SOFT_DONE);
	}
	if (crosses(gpa, size)) {
		struct vm_mapping *m = soft_mapping(cpu, gpa), *n = soft_mapping(cpu, gpa + size - 1);

		if ((m != NULL && (m->prot & VM_PROT_WRITE) != 0) ||
		    (n != NULL && (n->prot & VM_PROT_WRITE) != 0))
			return (store_split(cpu, gpa, size, val));
	}
	return (device_write(cpu, VM_SPACE_MEM, gpa, size, val));
}

static unsigned
cut_to(unsigned piece, unsigned left)
{
	piece = piece > 8 ? 8 : piece;
	while (piece > left)
		piece /= 2;
	return (piece);
}

enum soft_access
soft_load_spot(struct soft_cpu *cpu, const struct soft_spot *s, unsigned piece, void *buf)
{
	uint8_t *to = buf;
	uint64_t v;
	unsigned n;

	for (unsigned part = 0; part < 2; part++) {
		for (unsigned off = 0; off < s->size[part]; off += n, to += n) {
			n = cut_to(piece, s->size[part] - off);
			if (soft_load(cpu, s->gpa[part] + off, n, &v) != SOFT_DONE)
				return (SOFT_MMIO_EXIT);
			memcpy(to, &v, n);
		}
	}
	return (SOFT_DONE);
}

void
soft_store_spot(struct soft_cpu *cpu, const struct soft_spot *s, unsigned piece, const void *buf)
{
	const uint8_t *from = buf;
	uint64_t v;
	unsigned n;

	for (unsigned part = 0; part < 2; part++) {
		for (unsigned off = 0; off < s->size[part]; off += n, from += n) {
			n = cut_to(piece, s->size[part] - off);
			v = 0;
			memcpy(&v, from, n);
			(void)soft_store(cpu, s->gpa[part] + off, n, v);
		}
	}
}

enum soft_access
soft_in(struct soft_cpu *cpu, uint16_t port, unsigned size, uint64_t *val)
{
	return (device_read(cpu, VM_SPACE_IO, port, size, val));
}

enum soft_access
soft_out(struct soft_cpu *cpu, uint16_t port, unsigned size, uint64_t val)
{
	return (device_write(cpu, VM_SPACE_IO, port, size, val));
}

/* What others changed */

void
soft_catch_up(struct soft_cpu *cpu)
{
	struct vmctx *vm = cpu->vcpu->vm;
	struct soft_vm *sv = vm->accel_vm;
	uint64_t gen = atomic_load(&vm->map_gen);
	uint32_t wgen;

	if (gen != cpu->map_gen) {
		cpu->map_gen = gen;
		cpu->last = NULL;
		if (cpu->ops->flush != NULL)
			cpu->ops->flush(cpu);
	}
	if (vm->debug.gen != cpu->debug_gen) {
		/* Only while every vCPU is parked: this is between two instructions. */
		if (vm->debug.code_gen != cpu->debug_code_gen && cpu->code != NULL)
			soft_code_forget(cpu);
		cpu->debug_gen = vm->debug.gen;
		cpu->debug_code_gen = vm->debug.code_gen;
		if (cpu->ops->debug != NULL)
			cpu->ops->debug(cpu);
	}
	if (cpu->ops->shoot != NULL)
		soft_shoot_catch_up(cpu);
	if (cpu->tlb == NULL)
		return;
	gen = atomic_load(&vm->dirty_gen);
	wgen = atomic_load(&sv->wgen);
	if (gen != cpu->dirty_gen || wgen != cpu->wgen) {
		cpu->dirty_gen = gen;
		cpu->wgen = wgen;
		soft_tlb_drop_writes(cpu->tlb);
	}
	(void)soft_code_catch_up(cpu);
}

/*
 * Exclusive accesses.  vm_stop_vcpus() nests, so the lock keeps two vCPUs apart that want this at
 * once; map_lock keeps the memory map in place, which may be changed by others that stopped the
 * vCPUs.
 */
void
soft_excl_begin(struct soft_cpu *cpu)
{
	struct vmctx *vm = cpu->vcpu->vm;
	struct soft_vm *sv = vm->accel_vm;

	vcpu_leave(cpu->vcpu);
	pthread_mutex_lock(&sv->excl_lock);
	vm_stop_vcpus(vm);
	pthread_rwlock_rdlock(&vm->map_lock);
	cpu->excl = true;
}

void
soft_excl_end(struct soft_cpu *cpu)
{
	struct vmctx *vm = cpu->vcpu->vm;
	struct soft_vm *sv = vm->accel_vm;

	cpu->excl = false;
	pthread_rwlock_unlock(&vm->map_lock);
	vm_go_vcpus(vm);
	pthread_mutex_unlock(&sv->excl_lock);
	vcpu_reenter(cpu->vcpu);
	soft_catch_up(cpu);
}
