/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lockstep.c - native code checked against the first tier, as the VM runs.
 *
 * A step is some instructions.  They run as native code; what that did to registers and memory is taken away and put aside; the same
 * instructions run by the first tier; and both results are compared.  The VM goes on with the first tier's.
 *
 * A step has no effect outside of memory and registers, and nothing from outside comes into it.  A core says when it is about to do or to
 * take such a thing (soft_outside(), and with it soft_leave() and soft_exit()): then the run is thrown away, the step made as short as it takes to end
 * before that instruction, and the instruction itself, which is the first tier's in native code too, executed once, unchecked.  A step during which
 * somebody asked for the vCPU does not count either.  Devices that write to memory on threads of their own wait for the end of a step.
 *
 * Memory is compared with a shadow of all of it, by pages: those that dirty tracking says were written.
 */
#include <sys/mman.h>

#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lockstep.h"

#define	TRACE		8U		/* instructions that a report names */

/* Requests that are answered by coming out and going on: of the guest's own doing, or of ours. */
#define	REQ_BENIGN	(REQ_CODE | REQ_GRACE | REQ_TURN)

/* A page that a tier wrote in this step, and as native code left it if it did. */
struct page {
	int		 segid;
	size_t		 off;
	vm_paddr_t	 gpa;
	bool		 native;
	uint8_t		 bytes[VM_PAGE_SIZE];
};

/* A vCPU between two instructions, but for memory. */
struct registers {
	void		*state, *core;
	struct soft_cpu	 cpu;
	struct vm_exit	 exit;
	bool		 read_open, replied, exit_valid;
};

struct soft_lockstep {
	struct soft_cpu	*cpu;
	struct vm_dirty	*dirty;
	uint64_t	*bits;
	size_t		 nbits;			/* pages that bits has room for */
	uint8_t		*shadow[VM_MAX_MEMSEGS];
	struct registers begin, native;
	struct page	*pages;			/* of this step */
	unsigned	 npages, room;
	jmp_buf		 outside;
	enum soft_stop	 stop;			/* of the last run */
	bool		 aborted;		/* it came to something outside */
	bool		 alone;			/* the next instruction is executed unchecked */
	char		 why[160];		/* the difference */
};

/* Life */

static int
registers_create(struct soft_cpu *cpu, struct registers *r)
{
	r->state = malloc(cpu->vcpu->vm->md->state_size);
	r->core = malloc(cpu->ops->size);
	return (r->state != NULL && r->core != NULL ? 0 : -1);
}

static void
registers_free(struct registers *r)
{
	free(r->state);
	free(r->core);
}

void
soft_lockstep_free(struct soft_cpu *cpu)
{
	struct soft_lockstep *l = cpu->lockstep;

	if (l == NULL)
		return;
	vm_dirty_close(l->dirty);
	for (int i = 0; i < VM_MAX_MEMSEGS; i++) {
		if (l->shadow[i] != NULL)
			(void)munmap(l->shadow[i], cpu->vcpu->vm->segs[i].len);
	}
	registers_free(&l->begin);
	registers_free(&l->native);
	free(l->pages);
	free(l->bits);
	free(l);
	cpu->lockstep = NULL;
}

int
soft_lockstep_create(struct soft_cpu *cpu)
{
	struct vmctx *vm = cpu->vcpu->vm;
	struct soft_lockstep *l;

	if (vm->jit.check == 0)
		return (0);
	if (!clock_is_icount(vm) || cpu->vcpu->id != 0)
		return (vm_fail(EINVAL, "vm '%s': native code can be checked only on one vCPU in virtual time (clock=icount)", vm->name));
	l = cpu->lockstep = calloc(1, sizeof(*l));
	if (l == NULL)
		return (vm_fail(ENOMEM, "vm '%s': no memory to check native code", vm->name));
	l->cpu = cpu;
	if (registers_create(cpu, &l->begin) != 0 || registers_create(cpu, &l->native) != 0) {
		soft_lockstep_free(cpu);
		return (vm_fail(ENOMEM, "vm '%s': no memory to check native code", vm->name));
	}
	return (0);
}

/* Pages */

/* Call fn for each page that was written since the last time.  Outside guest code. */
static int
each_written(struct soft_lockstep *l, int (*fn)(struct soft_lockstep *l, int segid, size_t off, vm_paddr_t gpa))
{
	struct vmctx *vm = l->cpu->vcpu->vm;

	for (unsigned m = 0; m < vm->nmaps; m++) {
		const struct vm_mapping *map = &vm->maps[m];
		size_t n = map->len / VM_PAGE_SIZE, words = (n + 63) / 64;

		if (n > l->nbits) {
			uint64_t *more = realloc(l->bits, words * sizeof(*more));

			if (more == NULL)
				return (vm_fail(ENOMEM, "vm '%s': no memory to check native code", vm->name));
			l->bits = more;
			l->nbits = words * 64;
		}
		if (vm_dirty_fetch(l->dirty, map->gpa, map->len, l->bits) != 0)
			return (-1);
		for (size_t w = 0; w < words; w++) {
			for (uint64_t left = l->bits[w]; left != 0; left &= left - 1) {
				size_t off = (w * 64 + (unsigned)__builtin_ctzll(left)) * VM_PAGE_SIZE;

				if (fn(l, map->segid, map->segoff + off, map->gpa + off) != 0)
					return (-1);
			}
		}
	}
	return (0);
}

static uint8_t *
host(struct soft_lockstep *l, int segid, size_t off)
{
	return (l->cpu->vcpu->vm->segs[segid].host + off);
}

/* What others wrote is so. */
static int
accept_page(struct soft_lockstep *l, int segid, size_t off, vm_paddr_t gpa)
{
	if (l->shadow[segid] != NULL)
		memcpy(l->shadow[segid] + off, host(l, segid, off), VM_PAGE_SIZE);
	return (0);
}

/* The first time, and if there is a segment more: all of it. */
static int
make_shadows(struct soft_lockstep *l)
{
	struct vmctx *vm = l->cpu->vcpu->vm;

	if (l->dirty == NULL && (l->dirty = vm_dirty_open(vm)) == NULL)
		return (-1);
	for (int i = 0; i < VM_MAX_MEMSEGS; i++) {
		void *p;

		if (vm->segs[i].len == 0 || l->shadow[i] != NULL)
			continue;
		p = mmap(NULL, vm->segs[i].len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (p == MAP_FAILED)
			return (vm_fail_sys(errno, "vm '%s': no second memory to check native code with", vm->name));
		l->shadow[i] = p;
		memcpy(p, vm->segs[i].host, vm->segs[i].len);
	}
	return (0);
}

/* Put a page back as it was. */
static void
take_back(struct soft_lockstep *l, int segid, size_t off)
{
	if (memcmp(host(l, segid, off), l->shadow[segid] + off, VM_PAGE_SIZE) == 0)
		return;
	memcpy(host(l, segid, off), l->shadow[segid] + off, VM_PAGE_SIZE);
	soft_mem_written(l->cpu->vcpu->vm, segid, off, VM_PAGE_SIZE);
}

static int
discard_page(struct soft_lockstep *l, int segid, size_t off, vm_paddr_t gpa)
{
	take_back(l, segid, off);
	return (0);
}

static struct page *
note_page(struct soft_lockstep *l, int segid, size_t off, vm_paddr_t gpa)
{
	struct page *p;

	for (unsigned i = 0; i < l->npages; i++) {
		if (l->pages[i].segid == segid && l->pages[i].off == off)
			return (&l->pages[i]);
	}
	if (l->npages == l->room) {
		p = realloc(l->pages, (l->room + 64) * sizeof(*p));
		if (p == NULL)
			return (vm_fail_null(ENOMEM, "vm '%s': no memory to check native code", l->cpu->vcpu->vm->name));
		l->pages = p;
		l->room += 64;
	}
	p = &l->pages[l->npages++];
	p->segid = segid;
	p->off = off;
	p->gpa = gpa;
	p->native = false;
	return (p);
}

static int
put_aside(struct soft_lockstep *l, int segid, size_t off, vm_paddr_t gpa)
{
	struct page *p = note_page(l, segid, off, gpa);

	if (p == NULL)
		return (-1);
	p->native = true;
	memcpy(p->bytes, host(l, segid, off), VM_PAGE_SIZE);
	take_back(l, segid, off);
	return (0);
}

static int
note_written(struct soft_lockstep *l, int segid, size_t off, vm_paddr_t gpa)
{
	return (note_page(l, segid, off, gpa) != NULL ? 0 : -1);
}

/* Native code left in a page what is there now. */
static void
compare_page(struct soft_lockstep *l, const struct page *p)
{
	const uint8_t *native = p->native ? p->bytes : l->shadow[p->segid] + p->off, *first = host(l, p->segid, p->off);
	uint64_t a, b;
	size_t at = 0;

	if (l->why[0] != '\0' || memcmp(native, first, VM_PAGE_SIZE) == 0)
		return;
	/* Whoever wrote to it without asking may have written again. */
	while (at < VM_PAGE_SIZE - 1 && native[at] == first[at])
		at++;
	at &= ~(size_t)7;
	memcpy(&a, native + at, sizeof(a));
	memcpy(&b, first + at, sizeof(b));
	(void)snprintf(l->why, sizeof(l->why), "memory at 0x%llx is 0x%llx by native code and 0x%llx by the first tier",
	    (unsigned long long)(p->gpa + at), (unsigned long long)a, (unsigned long long)b);
}

/* Registers */

static void
save(struct soft_cpu *cpu, struct registers *r)
{
	struct vcpu *vcpu = cpu->vcpu;

	memcpy(r->state, vcpu->state, vcpu->vm->md->state_size);
	memcpy(r->core, cpu->core, cpu->ops->size);
	r->cpu = *cpu;
	r->exit = vcpu->exit;
	r->read_open = vcpu->read_open;
	r->replied = vcpu->replied;
	r->exit_valid = vcpu->exit_valid;
}

/* What was found meanwhile, in memory as it was, is void. */
static void
restore_registers(struct soft_cpu *cpu, const struct registers *r)
{
	struct vcpu *vcpu = cpu->vcpu;
	struct soft_cpu now = *cpu;

	memcpy(vcpu->state, r->state, vcpu->vm->md->state_size);
	memcpy(cpu->core, r->core, cpu->ops->size);
	*cpu = r->cpu;
	cpu->shots_seen = now.shots_seen;
	cpu->map_gen = now.map_gen;
	cpu->last = NULL;
	vcpu->exit = r->exit;
	vcpu->read_open = r->read_open;
	vcpu->replied = r->replied;
	vcpu->exit_valid = r->exit_valid;
	cpu->ops->flush(cpu);
}

/* The fields that a snapshot has; the rest of the page is scratch. */
static void
compare_fields(struct soft_lockstep *l, const struct vm_state_table *table, const uint8_t *native, const uint8_t *first)
{
	for (uint32_t n = 0; n < table->nfields; n++) {
		const struct vm_state_field *f = &table->fields[n];

		for (uint32_t i = 0; i < f->count; i++) {
			const uint8_t *at = native + f->offset + (size_t)i * f->stride, *bt = first + f->offset + (size_t)i * f->stride;
			uint64_t a = 0, b = 0;

			if (f->type == VM_FIELD_STRUCT) {
				compare_fields(l, f->sub, at, bt);
				continue;
			}
			if (l->why[0] != '\0' || memcmp(at, bt, f->stride) == 0)
				continue;
			memcpy(&a, at, f->stride < sizeof(a) ? f->stride : sizeof(a));
			memcpy(&b, bt, f->stride < sizeof(b) ? f->stride : sizeof(b));
			(void)snprintf(l->why, sizeof(l->why), "%s[%u] is 0x%llx by native code and 0x%llx by the first tier", f->name, i,
			    (unsigned long long)a, (unsigned long long)b);
		}
	}
}

static void
compare_registers(struct soft_lockstep *l)
{
	const struct vcpu *vcpu = l->cpu->vcpu;

	if (l->native.cpu.retired != l->cpu->retired)
		(void)snprintf(l->why, sizeof(l->why), "%llu instructions retired by native code, and %llu by the first tier",
		    (unsigned long long)l->native.cpu.retired, (unsigned long long)l->cpu->retired);
	compare_fields(l, vcpu->vm->md->vcpu_state, l->native.state, vcpu->state);
}

/* Runs */

void
soft_check_outside(struct soft_cpu *cpu)
{
	longjmp(cpu->lockstep->outside, 1);
}

/* The host's floating point as a program has it: native code was left in the middle. */
static void
host_fp(uint32_t mxcsr, uint16_t fcw)
{
#ifdef __x86_64__
	__asm__ volatile("fninit; fldcw %1; ldmxcsr %0" : : "m" (mxcsr), "m" (fcw));
#endif
}

static bool
asked_for(const struct soft_lockstep *l)
{
	return ((atomic_load(&l->cpu->vcpu->request) & ~REQ_BENIGN) != 0);
}

/* Up to budget instructions are executed, or as many as there are before something outside. */
static void
enter(struct soft_lockstep *l, uint64_t budget)
{
	struct soft_cpu *cpu = l->cpu;
	uint32_t mxcsr = 0;
	uint16_t fcw = 0;

#ifdef __x86_64__
	__asm__ volatile("stmxcsr %0; fnstcw %1" : "=m" (mxcsr), "=m" (fcw));
#endif
	atomic_fetch_and(&cpu->vcpu->request, ~(REQ_BENIGN & ~REQ_GRACE));	/* that one is vcpu_leave()'s */
	vcpu_reenter(cpu->vcpu);
	soft_catch_up(cpu);
	l->aborted = true;
	if (setjmp(l->outside) == 0) {
		l->stop = cpu->ops->run(cpu, budget, &cpu->retired);
		l->aborted = false;
	} else {
		host_fp(mxcsr, fcw);
	}
	vcpu_leave(cpu->vcpu);
}

/*
 * The same, and a request of the guest's own doing, which may come in the middle of a repeated string instruction, is no end.  Outside guest
 * code before and after.
 */
static void
execute(struct soft_lockstep *l, bool native, uint64_t budget)
{
	struct soft_cpu *cpu = l->cpu;

	cpu->first_tier = !native;
	cpu->checking = true;
	do {
		enter(l, budget);
	} while (cpu->retired < budget && l->stop == SOFT_REQUEST && !l->aborted && !asked_for(l));
	cpu->checking = cpu->first_tier = false;
}

/* Back to the beginning of the step. */
static int
rewind_step(struct soft_lockstep *l, int (*fn)(struct soft_lockstep *l, int segid, size_t off, vm_paddr_t gpa))
{
	if (each_written(l, fn) != 0)
		return (-1);
	restore_registers(l->cpu, &l->begin);
	return (0);
}

/*
 * Both tiers, n instructions from the beginning: 1 they were run and compared, 0 not (*shorter is where something outside comes, or the vCPU was
 * asked for), -1 an error.  The first tier's result stays if they were compared.
 */
static int
both(struct soft_lockstep *l, uint64_t n, uint64_t *shorter)
{
	struct soft_cpu *cpu = l->cpu;

	l->why[0] = '\0';
	l->npages = 0;
	/* Neither begins with translations: walks leave marks in the guest's tables. */
	cpu->ops->flush(cpu);
	execute(l, true, n);
	*shorter = cpu->retired;
	if (l->aborted || asked_for(l))
		return (rewind_step(l, discard_page));
	save(cpu, &l->native);
	if (rewind_step(l, put_aside) != 0)
		return (-1);
	execute(l, false, *shorter);
	if (l->aborted || asked_for(l)) {
		*shorter = cpu->retired;
		return (rewind_step(l, discard_page));
	}
	if (each_written(l, note_written) != 0)
		return (-1);
	compare_registers(l);
	for (unsigned i = 0; i < l->npages; i++)
		compare_page(l, &l->pages[i]);
	return (1);
}

/* A step that was compared: it was so. */
static void
take_over(struct soft_lockstep *l)
{
	for (unsigned i = 0; i < l->npages; i++)
		(void)accept_page(l, l->pages[i].segid, l->pages[i].off, l->pages[i].gpa);
	l->npages = 0;
}

/* It is to be repeated. */
static void
back(struct soft_lockstep *l)
{
	for (unsigned i = 0; i < l->npages; i++)
		take_back(l, l->pages[i].segid, l->pages[i].off);
	l->npages = 0;
	restore_registers(l->cpu, &l->begin);
}

/*
 * A step of n instructions differed: find the first one behind which that is so, the last of a translation, and say what it is and what was
 * executed before it.
 */
static void
report(struct soft_lockstep *l, uint64_t n)
{
	struct soft_cpu *cpu = l->cpu;
	char trace[TRACE * 20 + 1] = "", why[sizeof(l->why)];
	uint64_t pc[TRACE] = { 0 }, k, shorter;
	size_t len = 0;

	memcpy(why, l->why, sizeof(why));
	for (k = 1; k <= n; k++) {
		back(l);
		if (k == 1)
			pc[0] = cpu->ops->pc(cpu);
		if (both(l, k, &shorter) == 1 && l->why[0] != '\0') {
			memcpy(why, l->why, sizeof(why));
			break;
		}
		pc[k % TRACE] = cpu->ops->pc(cpu);
	}
	for (uint64_t i = k < TRACE ? 0 : k - TRACE; i < k; i++)
		len += (size_t)snprintf(trace + len, sizeof(trace) - len, " 0x%llx", (unsigned long long)pc[i % TRACE]);
	(void)vm_fail(EIO, "vm '%s': native code and the first tier differ%s: %s; executed, at the end:%s", l->cpu->vcpu->vm->name,
	    k > n ? ", but not when it is repeated" : "", why, trace);
}

static enum soft_stop
failed(struct soft_cpu *cpu)
{
	struct vm_exit *ex = soft_exit(cpu, VM_EXIT_ERROR, false);

	ex->u.error.error = errno;
	return (SOFT_EXIT);
}

/* The next instruction, unchecked. */
static enum soft_stop
alone(struct soft_lockstep *l)
{
	struct soft_cpu *cpu = l->cpu;
	enum soft_stop stop;

	l->alone = false;
	cpu->first_tier = true;
	stop = cpu->ops->run(cpu, 1, &cpu->retired);
	cpu->first_tier = false;
	return (stop);
}

/* As many instructions as can be compared, at most n.  0: none; -1: an error, or they differ. */
static int64_t
step(struct soft_lockstep *l, uint64_t n)
{
	const struct intc_ops *intc = l->cpu->vcpu->vm->intc_ops;
	uint64_t shorter;
	int how = 0;

	if (make_shadows(l) != 0 || each_written(l, accept_page) != 0)
		return (-1);
	/* News of the interrupt controller's, which would come once only. */
	if (intc != NULL && intc->pending != NULL)
		(void)intc->pending(l->cpu->vcpu);
	save(l->cpu, &l->begin);
	while (how == 0) {
		how = both(l, n, &shorter);
		if (how < 0)
			return (-1);
		if (how == 0) {
			if (asked_for(l) || shorter == 0)
				return (0);
			l->alone = true;
			n = shorter < n ? shorter : n - 1;
		}
	}
	if (l->why[0] != '\0') {
		report(l, n);
		return (-1);
	}
	take_over(l);
	return ((int64_t)l->cpu->retired);
}

enum soft_stop
soft_lockstep_run(struct soft_cpu *cpu, uint64_t budget)
{
	struct soft_lockstep *l = cpu->lockstep;
	struct vmctx *vm = cpu->vcpu->vm;
	int64_t n;

	if (l->alone)
		return (alone(l));
	vcpu_leave(cpu->vcpu);
	pthread_mutex_lock(&vm->write_lock);
	while (vm->writes != 0)
		pthread_cond_wait(&vm->write_cond, &vm->write_lock);
	vm->write_step = true;
	pthread_mutex_unlock(&vm->write_lock);
	n = step(l, budget < vm->jit.check ? budget : vm->jit.check);
	pthread_mutex_lock(&vm->write_lock);
	vm->write_step = false;
	pthread_cond_broadcast(&vm->write_cond);
	pthread_mutex_unlock(&vm->write_lock);
	vcpu_reenter(cpu->vcpu);
	soft_catch_up(cpu);
	if (n < 0)
		return (failed(cpu));
	if (n == 0)
		return (alone(l));
	atomic_fetch_add_explicit(&cpu->vcpu->stats[VM_STAT_JIT_CHECKED], (uint64_t)n, memory_order_relaxed);
	return (l->stop);
}
