/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmstate.c - the library's part of a snapshot: what vm_state_save() and vm_state_load() put into a
 * stream.
 *
 *	"vm" ""			architecture, layout, segments, topology, which vCPUs there are
 *	"vm.maps" ""		the mappings
 *	"clock" ""		the VM's clock
 *	<arch's vCPU> "N"	state page of vCPU N
 *	"vcpu" "N"		its capabilities, and events on their way to it
 *	<controller> ""		the library's interrupt controller, and <controller's CPU> "N"
 *	<arch's VM> ""		what else the architecture keeps
 *	... and whatever the back end adds.
 *
 * Interrupt handles, timers, ranges and doorbells belong to devices, which save what they know of
 * them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define	MAPS_MAX	4096	/* mappings believed of a stream; a VM has a few dozen */

struct saved_seg {
	char		 name[VM_MAX_SEGNAME + 1];
	uint64_t	 len;
};

struct saved_range {
	uint64_t	 base, limit;
};

struct saved_vm {
	char		 arch[16];
	char		 cpu_model[16];		/* "": the host's, as kvm shows it */
	uint64_t	 counter_hz;
	uint16_t	 sockets, cores, threads;
	uint32_t	 suspended;
	bool		 started;		/* it had a back end, and controllers */
	uint64_t	 vcpus;			/* bit N: vCPU N exists */
	uint32_t	 nram, nhole;
	struct saved_range ram[VM_LAYOUT_MAX], hole[VM_LAYOUT_MAX];
	struct saved_seg segs[VM_MAX_MEMSEGS];
	uint32_t	 nmaps;
};

struct saved_map {
	uint64_t	 gpa, len, segoff;
	uint32_t	 segid;
	uint8_t		 prot;
};

struct saved_clock {
	uint64_t	 now;			/* ns */
};

struct saved_vcpu {
	uint8_t		 caps[VM_CAP_MAX];	/* 0, 1; CAP_ABSENT */
	uint32_t	 events;		/* the architecture's, not acted upon yet */
};
#define	CAP_ABSENT	0xff

static const struct vm_state_field seg_fields[] = {
	VM_STATE_BYTES(struct saved_seg, name),
	VM_STATE_U64(struct saved_seg, len),
};
static const struct vm_state_table seg_table = VM_STATE_TABLE("vm.segment", 1, 1, seg_fields, NULL);

static const struct vm_state_field range_fields[] = {
	VM_STATE_U64(struct saved_range, base),
	VM_STATE_U64(struct saved_range, limit),
};
static const struct vm_state_table range_table = VM_STATE_TABLE("vm.range", 1, 1, range_fields, NULL);

static int
check_vm(void *obj)
{
	struct saved_vm *s = obj;

	if (memchr(s->arch, '\0', sizeof(s->arch)) == NULL)
		return (vm_state_complain("the architecture's name has no end"));
	if (memchr(s->cpu_model, '\0', sizeof(s->cpu_model)) == NULL)
		return (vm_state_complain("the processor model's name has no end"));
	for (int i = 0; i < VM_MAX_MEMSEGS; i++) {
		if (memchr(s->segs[i].name, '\0', sizeof(s->segs[i].name)) == NULL)
			return (vm_state_complain("the name of segment %d has no end", i));
	}
	if (s->nram > VM_LAYOUT_MAX || s->nhole > VM_LAYOUT_MAX)
		return (vm_state_complain("a layout of %u and %u ranges", s->nram, s->nhole));
	if (s->suspended >= VM_SUSPEND_LAST)
		return (vm_state_complain("a suspension for reason %u", s->suspended));
	if (s->nmaps > MAPS_MAX)
		return (vm_state_complain("%u mappings", s->nmaps));
	if (s->sockets == 0 || s->cores == 0 || s->threads == 0)
		return (vm_state_complain("a topology of %u sockets, %u cores, %u threads", s->sockets, s->cores,
		    s->threads));
	return (0);
}

static const struct vm_state_field vm_fields[] = {
	VM_STATE_BYTES(struct saved_vm, arch),
	VM_STATE_U64(struct saved_vm, counter_hz),
	VM_STATE_U16(struct saved_vm, sockets),
	VM_STATE_U16(struct saved_vm, cores),
	VM_STATE_U16(struct saved_vm, threads),
	VM_STATE_U32(struct saved_vm, suspended),
	VM_STATE_BOOL(struct saved_vm, started),
	VM_STATE_U64(struct saved_vm, vcpus),
	VM_STATE_U32(struct saved_vm, nram),
	VM_STATE_U32(struct saved_vm, nhole),
	VM_STATE_STRUCTS(struct saved_vm, ram, &range_table),
	VM_STATE_STRUCTS(struct saved_vm, hole, &range_table),
	VM_STATE_STRUCTS(struct saved_vm, segs, &seg_table),
	VM_STATE_U32(struct saved_vm, nmaps),
	{ .name = "cpu_model", .type = VM_FIELD_BYTES, .offset = offsetof(struct saved_vm, cpu_model),
	  .count = sizeof(((struct saved_vm *)0)->cpu_model), .stride = 1, .since = 2 },
};
static const struct vm_state_table vm_table = VM_STATE_TABLE("vm", 2, 1, vm_fields, check_vm);

static int
check_map(void *obj)
{
	const struct saved_map *m = obj;
	uint64_t end;

	if (m->segid >= VM_MAX_MEMSEGS || (m->prot & ~VM_PROT_ALL) != 0 || m->len == 0 ||
	    ((m->gpa | m->len | m->segoff) & (VM_PAGE_SIZE - 1)) != 0 || m->segoff > INT64_MAX ||
	    __builtin_add_overflow(m->gpa, m->len, &end))
		return (vm_state_complain("a mapping of segment %u at 0x%llx that cannot be", m->segid,
		    (unsigned long long)m->gpa));
	return (0);
}

static const struct vm_state_field map_fields[] = {
	VM_STATE_U64(struct saved_map, gpa),
	VM_STATE_U64(struct saved_map, len),
	VM_STATE_U64(struct saved_map, segoff),
	VM_STATE_U32(struct saved_map, segid),
	VM_STATE_U8(struct saved_map, prot),
};
static const struct vm_state_table map_table = VM_STATE_TABLE("vm.map", 1, 1, map_fields, check_map);

/* Sums of the clock and a delay must not wrap; nobody has run for 146 years. */
static int
check_clock(void *obj)
{
	const struct saved_clock *c = obj;

	if (c->now >= UINT64_C(1) << 62)
		return (vm_state_complain("a clock of %llu seconds", (unsigned long long)(c->now / 1000000000)));
	return (0);
}

static const struct vm_state_field clock_fields[] = {
	VM_STATE_U64(struct saved_clock, now),
};
static const struct vm_state_table clock_table = VM_STATE_TABLE("clock", 1, 1, clock_fields, check_clock);

static int
check_vcpu(void *obj)
{
	const struct saved_vcpu *s = obj;

	for (int i = 0; i < VM_CAP_MAX; i++) {
		if (s->caps[i] > 1 && s->caps[i] != CAP_ABSENT)
			return (vm_state_complain("capability %d has value %u", i, s->caps[i]));
	}
	return (0);
}

static const struct vm_state_field vcpu_fields[] = {
	VM_STATE_BYTES(struct saved_vcpu, caps),
	VM_STATE_U32(struct saved_vcpu, events),
};
static const struct vm_state_table vcpu_table = VM_STATE_TABLE("vcpu", 1, 1, vcpu_fields, check_vcpu);

/* The table of n mappings: an array whose length is in the "vm" section. */
struct maps_table {
	struct vm_state_field field;
	struct vm_state_table table;
};

static const struct vm_state_table *
maps_table(struct maps_table *t, uint32_t n)
{
	t->field = (struct vm_state_field){ .name = "map", .type = VM_FIELD_STRUCT, .offset = 0, .count = n,
	    .stride = sizeof(struct saved_map), .since = 1, .sub = &map_table };
	t->table = (struct vm_state_table){ .name = "vm.maps", .version = 1, .oldest = 1, .fields = &t->field,
	    .nfields = 1, .check = NULL };
	return (&t->table);
}

/* The VM's mappings as an array, which may be empty; the caller frees it. */
static int
list_maps(struct vmctx *ctx, struct saved_map **mapsp, uint32_t *np)
{
	struct saved_map *maps = NULL, *more;
	vm_paddr_t gpa = 0;
	vm_ooffset_t segoff;
	uint32_t n = 0, max = 0;
	int segid, prot, flags, error = errno;
	size_t len;

	while (vm_mmap_getnext(ctx, &gpa, &segid, &segoff, &len, &prot, &flags) == 0) {
		if (n == max) {
			max = max == 0 ? 16 : max * 2;
			more = realloc(maps, max * sizeof(*maps));
			if (more == NULL) {
				free(maps);
				return (vm_fail(ENOMEM, "vm '%s': state: out of memory", ctx->name));
			}
			maps = more;
		}
		maps[n++] = (struct saved_map){ .gpa = gpa, .len = len, .segoff = (uint64_t)segoff,
		    .segid = (uint32_t)segid, .prot = (uint8_t)prot };
		gpa += len;
	}
	if (n > MAPS_MAX) {
		free(maps);
		return (vm_fail(ENOTSUP, "vm '%s': state: %u mappings are more than a stream can have", ctx->name, n));
	}
	errno = error;
	*mapsp = maps;
	*np = n;
	return (0);
}

/* EBUSY while any vCPU runs. */
static int
check_idle(struct vmctx *ctx)
{
	for (int i = 0; i < VM_MAXCPU; i++) {
		if (ctx->vcpus[i] == NULL)
			continue;
		if (vcpu_hold(ctx->vcpus[i]) != 0)
			return (-1);
		vcpu_release(ctx->vcpus[i], false);
	}
	return (0);
}

static void
instance_name(char name[16], int id)
{
	(void)snprintf(name, 16, "%d", id);
}

/* SECTION: saving */

static void
fill_vm(struct vmctx *ctx, struct saved_vm *s)
{
	memset(s, 0, sizeof(*s));
	(void)snprintf(s->arch, sizeof(s->arch), "%s", ctx->md->name);
	if (cpu_model_find(ctx, vm_get_cpu_model(ctx)) != NULL)
		(void)snprintf(s->cpu_model, sizeof(s->cpu_model), "%s", vm_get_cpu_model(ctx));
	s->counter_hz = ctx->counter_hz;
	s->sockets = ctx->sockets;
	s->cores = ctx->cores;
	s->threads = ctx->threads;
	s->suspended = atomic_load(&ctx->suspended);
	s->started = ctx->accel != NULL;
	for (int i = 0; i < VM_MAXCPU; i++) {
		if (ctx->vcpus[i] != NULL)
			s->vcpus |= UINT64_C(1) << i;
	}
	s->nram = ctx->layout.nram;
	s->nhole = ctx->layout.nhole;
	for (int i = 0; i < VM_LAYOUT_MAX; i++) {
		s->ram[i] = (struct saved_range){ ctx->layout.ram[i].base, ctx->layout.ram[i].limit };
		s->hole[i] = (struct saved_range){ ctx->layout.hole[i].base, ctx->layout.hole[i].limit };
	}
	for (int i = 0; i < VM_MAX_MEMSEGS; i++) {
		if (ctx->segs[i].len != 0)
			(void)snprintf(s->segs[i].name, sizeof(s->segs[i].name), "%s", ctx->segs[i].name);
		s->segs[i].len = ctx->segs[i].len;
	}
}

static int
save_vcpu(struct vcpu *vcpu, struct vm_state_out *out)
{
	const struct md_ops *md = vcpu->vm->md;
	struct saved_vcpu saved;
	char name[16];
	int error;

	instance_name(name, vcpu->id);
	if (vcpu_hold(vcpu) != 0)
		return (-1);
	error = vm_state_put(out, md->vcpu_state, name, vcpu->state);
	for (int i = 0; i < VM_CAP_MAX; i++)
		saved.caps[i] = vcpu->caps[i] < 0 ? CAP_ABSENT : (uint8_t)vcpu->caps[i];
	saved.events = atomic_load(&vcpu->md_events);
	vcpu_release(vcpu, false);
	return (error != 0 ? -1 : vm_state_put(out, &vcpu_table, name, &saved));
}

static int
save_controller(struct vmctx *ctx, struct vm_state_out *out)
{
	const struct intc_ops *ops = ctx->intc_ops;
	char name[16];

	if (ctx->intc == NULL || ops == NULL)
		return (0);
	if (ops->saving != NULL)
		ops->saving(ctx);
	if (ops->state != NULL && vm_state_put(out, ops->state, "", ctx->intc) != 0)
		return (-1);
	for (int i = 0; ops->cpu_state != NULL && i < VM_MAXCPU; i++) {
		if (ctx->vcpus[i] == NULL || ctx->vcpus[i]->intc == NULL)
			continue;
		instance_name(name, i);
		if (vm_state_put(out, ops->cpu_state, name, ctx->vcpus[i]->intc) != 0)
			return (-1);
	}
	return (0);
}

static int
save_md(struct vmctx *ctx, struct vm_state_out *out)
{
	void *obj;

	if (ctx->md->vm_state == NULL)
		return (0);
	obj = ctx->md->vm_object(ctx);
	return (obj == NULL ? -1 : vm_state_put(out, ctx->md->vm_state, "", obj));
}

static int
save_sections(struct vmctx *ctx, struct vm_state_out *out)
{
	struct saved_clock clk = { .now = vm_clock_now(ctx) };
	struct saved_map *maps;
	struct saved_vm *s;
	struct maps_table t;
	uint32_t nmaps;
	int error;

	if (list_maps(ctx, &maps, &nmaps) != 0)
		return (-1);
	s = malloc(sizeof(*s));
	if (s == NULL) {
		free(maps);
		return (vm_fail(ENOMEM, "vm '%s': state: out of memory", ctx->name));
	}
	fill_vm(ctx, s);
	s->nmaps = nmaps;
	error = vm_state_put(out, &vm_table, "", s);
	if (error == 0 && nmaps != 0)
		error = vm_state_put(out, maps_table(&t, nmaps), "", maps);
	free(s);
	free(maps);
	if (error != 0 || vm_state_put(out, &clock_table, "", &clk) != 0)
		return (-1);
	for (int i = 0; i < VM_MAXCPU; i++) {
		if (ctx->vcpus[i] != NULL && save_vcpu(ctx->vcpus[i], out) != 0)
			return (-1);
	}
	if (save_controller(ctx, out) != 0 || save_md(ctx, out) != 0)
		return (-1);
	if (ctx->accel != NULL && ctx->accel->vm_save != NULL)
		return (ctx->accel->vm_save(ctx, out));
	return (0);
}

int
vm_state_save(struct vmctx *ctx, struct vm_state_out *out)
{
	int error;

	if (ctx == NULL || out == NULL)
		return (vm_fail(EINVAL, "vm_state_save: no %s", ctx == NULL ? "VM" : "stream"));
	/* Nothing may start in between, and all sections belong to one moment of the clock. */
	if (check_idle(ctx) != 0 || vm_pause(ctx) != 0)
		return (-1);
	error = save_sections(ctx, out);
	if (error != 0) {
		error = errno;
		(void)vm_resume(ctx);
		errno = error;
		return (-1);
	}
	return (vm_resume(ctx));
}

/* SECTION: loading */

static int
same_ranges(struct vmctx *ctx, const struct saved_vm *s)
{
	const struct vm_layout *l = &ctx->layout;
	bool same = s->nram == l->nram && s->nhole == l->nhole;

	for (uint32_t i = 0; same && i < l->nram; i++)
		same = s->ram[i].base == l->ram[i].base && s->ram[i].limit == l->ram[i].limit;
	for (uint32_t i = 0; same && i < l->nhole; i++)
		same = s->hole[i].base == l->hole[i].base && s->hole[i].limit == l->hole[i].limit;
	if (!same)
		return (vm_fail(EILSEQ, "vm '%s': state: the stream is of a VM with another address-space layout",
		    ctx->name));
	return (0);
}

/* Is this VM the one that the stream was made from, as far as that cannot be changed any more? */
static int
check_same(struct vmctx *ctx, const struct saved_vm *s)
{
	const struct memseg *seg;

	if (strcmp(s->arch, ctx->md->name) != 0)
		return (vm_fail(EILSEQ, "vm '%s': state: the stream is of an '%s' guest, this is an %s one",
		    ctx->name, s->arch, ctx->md->name));
	if (same_ranges(ctx, s) != 0)
		return (-1);
	for (int i = 0; i < VM_MAX_MEMSEGS; i++) {
		seg = &ctx->segs[i];
		if (seg->len != s->segs[i].len || (seg->len != 0 && strcmp(seg->name, s->segs[i].name) != 0))
			return (vm_fail(EILSEQ, "vm '%s': state: memory segment %d has %llu bytes ('%s') in the "
			    "stream and %zu ('%s') here", ctx->name, i, (unsigned long long)s->segs[i].len, s->segs[i].name,
			    seg->len, seg->len == 0 ? "" : seg->name));
	}
	for (int i = 0; i < VM_MAXCPU; i++) {
		bool there = (s->vcpus >> i & 1) != 0;

		if (there != (ctx->vcpus[i] != NULL))
			return (vm_fail(EILSEQ, "vm '%s': state: vcpu %d is %s", ctx->name, i,
			    there ? "in the stream and not here" : "here and not in the stream"));
	}
	return (0);
}

/* Does the list map all of [gpa, gpa + len) to segid from segoff on, with whatever protection? */
static bool
maps_agree(const struct saved_map *maps, uint32_t n, const struct saved_map *m)
{
	uint64_t pos = m->gpa, end = m->gpa + m->len;

	for (uint32_t i = 0; i < n && pos < end; i++) {
		const struct saved_map *p = &maps[i];

		if (pos < p->gpa || pos >= p->gpa + p->len)
			continue;
		if (p->segid != m->segid || p->segoff + (pos - p->gpa) != m->segoff + (pos - m->gpa))
			return (false);
		pos = p->gpa + p->len;
	}
	return (pos >= end);
}

/* Map what of m is missing in the sorted list of what is there, and set the protection of the rest. */
static int
apply_map(struct vmctx *ctx, const struct saved_map *m, const struct saved_map *here, uint32_t nhere)
{
	uint64_t pos = m->gpa, end = m->gpa + m->len, next;
	const struct saved_map *h;

	while (pos < end) {
		h = NULL;
		for (uint32_t i = 0; i < nhere && h == NULL; i++) {
			if (here[i].gpa + here[i].len > pos)
				h = &here[i];
		}
		if (h != NULL && h->gpa <= pos) {
			next = h->gpa + h->len < end ? h->gpa + h->len : end;
			if (h->prot != m->prot && vm_mprotect_memseg(ctx, pos, next - pos, m->prot) != 0)
				return (-1);
		} else {
			next = h != NULL && h->gpa < end ? h->gpa : end;
			if (vm_mmap_memseg(ctx, pos, (int)m->segid, (vm_ooffset_t)(m->segoff + (pos - m->gpa)),
			    next - pos, m->prot) != 0)
				return (-1);
		}
		pos = next;
	}
	return (0);
}

/* Make the memory map what the stream says: guests move device memory and hide RAM. */
static int
apply_maps(struct vmctx *ctx, const struct saved_map *maps, uint32_t n)
{
	struct saved_map *here;
	uint32_t nhere;
	int error = 0;

	for (uint32_t i = 1; i < n; i++) {
		if (maps[i].gpa < maps[i - 1].gpa + maps[i - 1].len)
			return (vm_fail(EILSEQ, "vm '%s': state: mappings are not in order", ctx->name));
	}
	if (list_maps(ctx, &here, &nhere) != 0)
		return (-1);
	for (uint32_t i = 0; error == 0 && i < nhere; i++) {
		if (!maps_agree(maps, n, &here[i]))
			error = vm_munmap_memseg(ctx, here[i].gpa, here[i].len);
	}
	free(here);
	if (error != 0 || list_maps(ctx, &here, &nhere) != 0)
		return (-1);
	for (uint32_t i = 0; error == 0 && i < n; i++)
		error = apply_map(ctx, &maps[i], here, nhere);
	free(here);
	return (error);
}

static int
load_maps(struct vmctx *ctx, struct vm_state_in *in, uint32_t n)
{
	struct saved_map *maps;
	struct maps_table t;
	int error;

	if (n == 0)
		return (apply_maps(ctx, NULL, 0));
	maps = calloc(n, sizeof(*maps));
	if (maps == NULL)
		return (vm_fail(ENOMEM, "vm '%s': state: out of memory", ctx->name));
	error = vm_state_get(in, maps_table(&t, n), "", maps);
	if (error == 0)
		error = apply_maps(ctx, maps, n);
	free(maps);
	return (error);
}

static int
load_caps(struct vcpu *vcpu, const uint8_t *caps)
{
	const char *name;
	int val;

	for (int i = 0; i < VM_CAP_MAX; i++) {
		if (caps[i] == CAP_ABSENT || (vcpu->caps[i] < 0 && caps[i] == 0))
			continue;
		val = caps[i];
		if (vcpu->caps[i] < 0) {
			name = vm_capability_type2name(i);
			return (vm_fail(ENOTSUP, "vcpu %d: state: capability %d (%s) is on in the stream and does "
			    "not exist here", vcpu->id, i, name == NULL ? "unknown" : name));
		}
		if (vcpu->caps[i] != val && vm_set_capability(vcpu, (enum vm_cap_type)i, val) != 0)
			return (-1);
	}
	return (0);
}

static int
load_vcpu(struct vcpu *vcpu, struct vm_state_in *in)
{
	struct saved_vcpu saved;
	char name[16];
	int error;

	memset(&saved, 0, sizeof(saved));
	instance_name(name, vcpu->id);
	if (vm_state_get(in, &vcpu_table, name, &saved) != 0 || load_caps(vcpu, saved.caps) != 0)
		return (-1);
	if (vcpu_hold(vcpu) != 0)
		return (-1);
	error = vm_state_get(in, vcpu->vm->md->vcpu_state, name, vcpu->state);
	if (error == 0) {
		/* What this VM's own last exit asked for is nobody's business any more. */
		vcpu->read_open = vcpu->replied = vcpu->exit_valid = false;
		atomic_store(&vcpu->md_events, saved.events);
	}
	vcpu_release(vcpu, error == 0);
	if (error == 0 && saved.events != 0)
		vcpu_request(vcpu, REQ_MD);
	return (error);
}

static int
load_controller(struct vmctx *ctx, struct vm_state_in *in, bool started)
{
	const struct intc_ops *ops = ctx->intc_ops;
	char name[16];

	if (ctx->intc == NULL || ops == NULL)
		return (0);
	if (!started) {
		/* The VM of the stream had not come to have a controller. */
		if (ops->reset != NULL)
			ops->reset(ctx);
		return (0);
	}
	if (ops->state != NULL && vm_state_get(in, ops->state, "", ctx->intc) != 0)
		return (-1);
	for (int i = 0; ops->cpu_state != NULL && i < VM_MAXCPU; i++) {
		if (ctx->vcpus[i] == NULL || ctx->vcpus[i]->intc == NULL)
			continue;
		instance_name(name, i);
		if (vm_state_get(in, ops->cpu_state, name, ctx->vcpus[i]->intc) != 0)
			return (-1);
	}
	return (0);
}

/* What the architecture keeps of the VM, in a stream that is older than that: as at power-on. */
static int
load_md(struct vmctx *ctx, struct vm_state_in *in)
{
	const struct md_ops *md = ctx->md;
	void *obj;

	if (md->vm_state == NULL)
		return (0);
	if (md->vm_reset != NULL)
		md->vm_reset(ctx);
	if (!vm_state_has(in, md->vm_state->name, ""))
		return (0);
	obj = md->vm_object(ctx);
	return (obj == NULL ? -1 : vm_state_get(in, md->vm_state, "", obj));
}

static int
load_sections(struct vmctx *ctx, struct vm_state_in *in, const struct saved_vm *s)
{
	struct saved_clock clk = { 0 };

	/* Before the mappings: vCPUs look at it when they see that those have changed. */
	if (load_md(ctx, in) != 0 || load_maps(ctx, in, s->nmaps) != 0)
		return (-1);
	atomic_fetch_add(&ctx->map_gen, 1);
	if (vm_set_topology(ctx, s->sockets, s->cores, s->threads, 0) != 0)
		return (-1);
	/* Time first: the counters of processors and controllers are loaded relative to it. */
	if (vm_state_get(in, &clock_table, "", &clk) != 0 || vm_clock_set(ctx, clk.now) != 0)
		return (-1);
	for (int i = 0; i < VM_MAXCPU; i++) {
		if (ctx->vcpus[i] != NULL && load_vcpu(ctx->vcpus[i], in) != 0)
			return (-1);
	}
	if (load_controller(ctx, in, s->started) != 0)
		return (-1);
	if (ctx->accel != NULL && ctx->accel->vm_load != NULL && s->started && ctx->accel->vm_load(ctx, in) != 0)
		return (-1);
	if (ctx->intc != NULL && ctx->intc_ops != NULL && ctx->intc_ops->loaded != NULL)
		ctx->intc_ops->loaded(ctx);
	if (vm_unsuspend(ctx) != 0)
		return (-1);
	if (s->suspended != VM_SUSPEND_NONE)
		return (vm_suspend(ctx, (enum vm_suspend_how)s->suspended));
	return (0);
}

/* A guest has looked at its processor: it is to be the same. */
static int
same_model(struct vmctx *ctx, const struct saved_vm *s)
{
	bool shows_host = ctx->accel != NULL ? ctx->accel->shows_host : ctx->want == VM_ACCEL_KVM;

	/* Without a name for the host's, the vCPUs' own registers say whether it will do. */
	if (shows_host && cpu_model_find(ctx, "host") == NULL)
		return (0);
	if (s->cpu_model[0] == '\0' || cpu_model_find(ctx, vm_get_cpu_model(ctx)) == NULL || strcmp(s->cpu_model, vm_get_cpu_model(ctx)) == 0)
		return (0);
	if (ctx->cpu_model == NULL && ctx->accel == NULL)
		return (vm_set_cpu_model(ctx, s->cpu_model));
	return (vm_fail(EILSEQ, "vm '%s': state: the stream is of a VM with processor model %s, this one has %s", ctx->name,
	    s->cpu_model, vm_get_cpu_model(ctx)));
}

/*
 * The part that must happen before a back end is there: model and frequency of the processors, and then the back end
 * itself.
 */
static int
prepare(struct vmctx *ctx, const struct saved_vm *s)
{
	if (check_same(ctx, s) != 0 || same_model(ctx, s) != 0)
		return (-1);
	if (s->counter_hz != ctx->counter_hz) {
		if (ctx->accel != NULL)
			return (vm_fail(ENOTSUP, "vm '%s': state: the counter runs at %llu Hz in the stream and at "
			    "%llu Hz here, and the VM was started", ctx->name, (unsigned long long)s->counter_hz,
			    (unsigned long long)ctx->counter_hz));
		if (vm_set_counter_freq(ctx, s->counter_hz) != 0)
			return (-1);
	}
	if (s->started && ctx->accel == NULL) {
		ctx->counter_set = true;
		return (vm_start(ctx));
	}
	/* The library's controllers are reset in this case; those of a kernel cannot be. */
	if (!s->started && ctx->accel != NULL && ctx->accel->irq_set != NULL)
		return (vm_fail(ENOTSUP, "vm '%s': state: the stream is of a VM that never ran; it must be loaded "
		    "before vm_start()", ctx->name));
	return (0);
}

int
vm_state_load(struct vmctx *ctx, struct vm_state_in *in)
{
	struct saved_vm *s;
	int error;

	if (ctx == NULL || in == NULL)
		return (vm_fail(EINVAL, "vm_state_load: no %s", ctx == NULL ? "VM" : "stream"));
	if (check_idle(ctx) != 0)
		return (-1);
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return (vm_fail(ENOMEM, "vm '%s': state: out of memory", ctx->name));
	if (vm_state_get(in, &vm_table, "", s) != 0 || prepare(ctx, s) != 0 || vm_pause(ctx) != 0) {
		error = errno;
		goto out;
	}
	error = load_sections(ctx, in, s) == 0 ? 0 : errno;
	(void)vm_resume(ctx);
out:
	free(s);
	if (error == 0)
		return (0);
	/* A section that should be there and is not: the stream is no whole one. */
	errno = error == ENOENT ? EILSEQ : error;
	return (-1);
}
