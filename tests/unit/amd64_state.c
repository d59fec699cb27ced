/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The declared state of an amd64 vCPU: every byte of it is carried over, and what no processor can
 * be in is refused.
 */
#include "amd64/amd64.h"
#include "vm_fixture.h"

static struct vmctx *vm;
static struct vcpu *cpu;
static struct amd64_state *st;

static void
start(void)
{
	vm = tv_new(VM_ARCH_AMD64, 0, 0);
	cpu = tv_cpu(vm, 0);
	st = cpu->state;
}

static void
stop(void)
{
	vm_vcpu_close(cpu);
	vm_close(vm);
}

/* Bytes of the table's fields, at their places. */
static void
cover(const struct vm_state_table *t, uint8_t *map, size_t base)
{
	for (unsigned i = 0; i < t->nfields; i++) {
		const struct vm_state_field *f = &t->fields[i];

		for (unsigned e = 0; e < f->count; e++) {
			size_t at = base + f->offset + (size_t)e * f->stride, len;

			switch (f->type) {
			case VM_FIELD_STRUCT:
				cover(f->sub, map, at);
				continue;
			case VM_FIELD_U16:
				len = 2;
				break;
			case VM_FIELD_U32:
				len = 4;
				break;
			case VM_FIELD_U64:
				len = 8;
				break;
			default:
				len = 1;
				break;
			}
			for (size_t b = 0; b < len; b++) {
				CHECK_EQ(map[at + b], 0);	/* no field twice */
				map[at + b] = 1;
			}
		}
	}
}

TEST(every_byte_is_declared)
{
	static uint8_t map[sizeof(struct amd64_state)];

	cover(&amd64_state_table, map, 0);
	/* What is left is padding of the segments and behind the last field. */
	for (size_t i = 0; i < offsetof(struct amd64_state, trap_pending) + 4; i++) {
		if (map[i] == 0) {
			size_t seg = offsetof(struct amd64_state, seg), one = sizeof(struct amd64_segment);

			CHECK(i >= seg && i < seg + SEG_COUNT * one);
			CHECK((i - seg) % one >= offsetof(struct amd64_segment, sel) + 2);
		}
	}
}

static int
carry(const struct amd64_state *from, struct amd64_state *to)
{
	struct vm_state_out *out = vm_state_out_open();
	struct vm_state_in *in;
	const void *buf;
	size_t len;
	int error;

	CHECK_EQ(vm_state_put(out, &amd64_state_table, "0", from), 0);
	buf = vm_state_out_data(out, &len);
	in = vm_state_in_open(buf, len);
	CHECK(in != NULL);
	error = vm_state_get(in, &amd64_state_table, "0", to);
	vm_state_in_close(in);
	vm_state_out_close(out);
	return (error);
}

TEST(it_is_carried_over)
{
	struct amd64_state to;

	start();
	for (int i = 0; i < 16; i++)
		st->gpr[i] = 0x0101010101010101ULL * (unsigned)i;
	st->cr2 = ~0ULL;
	st->fxsave[511] = 0xab;
	memset(&st->avx, 0x5a, sizeof(st->avx));
	memset(&st->avx512, 0xa5, sizeof(st->avx512));
	st->mtrr_mask[7] = 0xffff00000800ULL;
	st->kvm_wall_clock = 77;
	memset(&to, 0, sizeof(to));
	CHECK_EQ(carry(st, &to), 0);
	CHECK(memcmp(&to, st, sizeof(to)) == 0);
	stop();
}

#define	REFUSED(what)	do {							\
	struct amd64_state bad_ = *st, to_ = *st;				\
	struct amd64_state *s = &bad_;						\
	what;									\
	errno = 0;								\
	if (carry(&bad_, &to_) == 0)						\
		FAIL("accepted: %s", #what);					\
	CHECK_EQ(errno, EILSEQ);						\
	CHECK_HAS(vm_errmsg(), "amd64 vcpu");					\
	CHECK(memcmp(&to_, st, sizeof(to_)) == 0);				\
} while (0)

TEST(what_no_processor_can_be_in_is_refused)
{
	uint32_t mxcsr = 0x10000;

	start();
	/* registers */
	REFUSED(s->rflags = 0);
	REFUSED(s->cr0 = 0x80000000);
	REFUSED(s->cr4 = 1ULL << 50);
	REFUSED(s->efer = 2);
	REFUSED(s->cr3 = 1ULL << 52);
	REFUSED(s->cr8 = 16);
	REFUSED(s->dr7 = 1ULL << 32);
	REFUSED(s->pat = 2);
	REFUSED(s->apic_base = 3);
	REFUSED(s->xcr0 = 0);
	REFUSED(s->lstar = 1ULL << 62);
	REFUSED(s->mtrr_def = 0x802);
	REFUSED(s->mtrr_fix[3] = 3);
	REFUSED(s->mtrr_base[3] = 7);
	REFUSED(memcpy(s->fxsave + 24, &mxcsr, 4));
	/* modes */
	REFUSED(s->efer = 0x400);
	REFUSED(s->efer = 0x500);
	REFUSED((s->efer = 0x500, s->cr0 = 0x80000011));
	REFUSED((s->efer = 0x100, s->cr0 = 0x80000011, s->cr4 = 0x20));
	REFUSED(s->rflags = 0x20002);
	REFUSED((s->rflags = 0x20002, s->efer = 0x500, s->cr0 = 0x80000011, s->cr4 = 0x20));
	REFUSED(s->cr4 = 0x20000);
	/* segments */
	REFUSED(s->seg[SEG_CS].access = 0x10000);
	REFUSED(s->seg[SEG_CS].access = 0x8b);
	REFUSED(s->seg[SEG_TR].access = 0x93);
	REFUSED(s->seg[SEG_TR].access = 0x89);
	REFUSED(s->seg[SEG_LDTR].access = 0x8b);
	REFUSED(s->seg[SEG_DS].access = 0x20093);
	REFUSED((s->seg[SEG_DS].access = 0x8093, s->seg[SEG_DS].limit = 0xfffe));
	REFUSED(s->seg[SEG_DS].limit = 0x100000);
	REFUSED(s->seg[SEG_DS].base = 1ULL << 32);
	REFUSED(s->seg[SEG_FS].base = 1ULL << 62);
	REFUSED(s->seg[SEG_GDTR].limit = 0x10000);
	REFUSED((s->seg[SEG_CS].access = 0x609b, s->efer = 0x500, s->cr0 = 0x80000011, s->cr4 = 0x20));
	/* events */
	REFUSED(s->run_state = 4);
	REFUSED(s->intr_shadow = 3);
	REFUSED(s->exc_pending = 2);
	REFUSED(s->exc_vector = 32);
	REFUSED(s->nmi_blocked = 2);
	REFUSED(s->intr_pending = 255);
	stop();
}

TEST_MAIN()
