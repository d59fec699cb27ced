/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmstate.c - the library's part of a snapshot: a VM goes on elsewhere as if nothing had happened,
 * on the same back end or another, and a stream that does not fit is refused with a sentence.
 */
#include <sys/mman.h>

#include <vmmapi.h>
#include <vmmapi/amd64.h>
#include <vmmapi/arm64.h>
#include <vmmapi/state.h>

#include "vm_fixture.h"

TEST_MAIN()

#define	MB		(1UL << 20)
#define	OK(call)	CHECKF((call) == 0, "%s: %s", #call, vm_errmsg())

struct machine {
	struct vmctx	*ctx;
	struct vcpu	*vcpu[2];
};

static void
make(struct machine *m, enum vm_arch arch, enum vm_accel accel)
{
	struct vm_spec spec = { .size = sizeof(spec), .arch = arch, .accel = accel };

	m->ctx = vm_new(&spec);
	CHECKF(m->ctx != NULL, "%s", vm_errmsg());
	OK(vm_setup_memory(m->ctx, 2 * MB, VM_MMAP_ALL));
	for (int i = 0; i < 2; i++) {
		m->vcpu[i] = vm_vcpu_open(m->ctx, i);
		CHECKF(m->vcpu[i] != NULL, "%s", vm_errmsg());
	}
}

/* A copy of the VM's stream; the caller frees it. */
static void *
save(struct machine *m, size_t *len)
{
	struct vm_state_out *out = vm_state_out_open();
	const void *data;
	void *copy;

	CHECK(out != NULL);
	OK(vm_state_save(m->ctx, out));
	data = vm_state_out_data(out, len);
	CHECK(data != NULL);
	copy = malloc(*len);
	CHECK(copy != NULL);
	memcpy(copy, data, *len);
	vm_state_out_close(out);
	return (copy);
}

static void
load(struct machine *m, const void *data, size_t len)
{
	struct vm_state_in *in = vm_state_in_open(data, len);

	CHECKF(in != NULL, "%s", vm_errmsg());
	OK(vm_state_load(m->ctx, in));
	OK(vm_state_in_done(in));
	vm_state_in_close(in);
}

static void
refused(struct machine *m, const void *data, size_t len, int error, const char *why)
{
	struct vm_state_in *in = vm_state_in_open(data, len);

	CHECKF(in != NULL, "%s", vm_errmsg());
	CHECK_EQ(vm_state_load(m->ctx, in), -1);
	CHECKF(errno == error, "errno %d: %s", errno, vm_errmsg());
	CHECK_HAS(vm_errmsg(), why);
	vm_state_in_close(in);
}

static void
copy_ram(struct machine *from, struct machine *to)
{
	static uint8_t buf[2 * MB];
	vm_paddr_t base = vm_get_lowmem_size(from->ctx) != 0 ? 0 : vm_get_highmem_base(from->ctx);

	OK(vm_gpa_read(from->ctx, base, buf, sizeof(buf)));
	OK(vm_gpa_write(to->ctx, base, buf, sizeof(buf)));
}

static uint64_t
reg(struct vcpu *vcpu, int num)
{
	uint64_t val = 0;

	OK(vm_get_register(vcpu, num, &val));
	return (val);
}

TEST(what_was_never_started)
{
	struct machine a, b;
	uint32_t limit, access;
	uint64_t base;
	uint16_t s, c, t, max;
	size_t len, again;
	void *data, *copy;
	int val;

	make(&a, VM_ARCH_AMD64, VM_ACCEL_SOFT);
	make(&b, VM_ARCH_AMD64, VM_ACCEL_SOFT);
	for (int i = 0; i < 16; i++)
		OK(vm_set_register(a.vcpu[1], VM_AMD64_REG_RAX + i, 0x1111111111111111ULL * (uint64_t)i));
	OK(vm_set_desc(a.vcpu[0], VM_AMD64_REG_GS, 0x12345000, 0xfffff, 0x93));
	OK(vm_set_capability(a.vcpu[1], VM_CAP_HALT_EXIT, 1));
	OK(vm_set_topology(a.ctx, 1, 1, 2, 0));
	OK(vm_set_counter_freq(a.ctx, 2500000000ULL));
	OK(vm_clock_set(a.ctx, 123456789));
	OK(vm_suspend(a.ctx, VM_SUSPEND_RESET));
	OK(vm_amd64_inject_nmi(a.vcpu[1]));		/* an event that waits for its processor */
	/* the other one has something else of everything */
	OK(vm_set_capability(b.vcpu[0], VM_CAP_PAUSE_EXIT, 1));
	OK(vm_set_register(b.vcpu[0], VM_AMD64_REG_RIP, 0x4711));
	data = save(&a, &len);
	load(&b, data, len);
	for (int i = 0; i < 16; i++)
		CHECK_EQ(reg(b.vcpu[1], VM_AMD64_REG_RAX + i), 0x1111111111111111ULL * (uint64_t)i);
	CHECK_EQ(reg(b.vcpu[0], VM_AMD64_REG_RIP), reg(a.vcpu[0], VM_AMD64_REG_RIP));
	OK(vm_get_desc(b.vcpu[0], VM_AMD64_REG_GS, &base, &limit, &access));
	CHECK(base == 0x12345000 && limit == 0xfffff && access == 0x93);
	OK(vm_get_capability(b.vcpu[1], VM_CAP_HALT_EXIT, &val));
	CHECK_EQ(val, 1);
	OK(vm_get_capability(b.vcpu[0], VM_CAP_PAUSE_EXIT, &val));
	CHECK_EQ(val, 0);
	OK(vm_get_topology(b.ctx, &s, &c, &t, &max));
	CHECK(s == 1 && c == 1 && t == 2);
	CHECK_EQ(vm_get_counter_freq(b.ctx), 2500000000ULL);
	CHECK_EQ(vm_clock_now(b.ctx), 123456789);
	CHECK(vm_accel_name(b.ctx) == NULL);
	CHECK_EQ(vm_suspend(b.ctx, VM_SUSPEND_HALT), -1);
	CHECK_EQ(errno, EALREADY);
	/* a stream of the copy is that stream */
	copy = save(&b, &again);
	CHECK_EQ(again, len);
	CHECK(memcmp(copy, data, len) == 0);
	free(copy);
	free(data);
	vm_close(a.ctx);
	vm_close(b.ctx);
}

TEST(the_memory_map_follows)
{
	struct machine a, b;
	uint64_t val;
	size_t len;
	void *data;
	char *fb[2];

	make(&a, VM_ARCH_AMD64, VM_ACCEL_SOFT);
	make(&b, VM_ARCH_AMD64, VM_ACCEL_SOFT);
	fb[0] = vm_create_devmem(a.ctx, VM_FRAMEBUFFER, "fb", 65536);
	fb[1] = vm_create_devmem(b.ctx, VM_FRAMEBUFFER, "fb", 65536);
	CHECK(fb[0] != MAP_FAILED && fb[1] != MAP_FAILED);
	/* there the frame buffer was moved and a part of RAM hidden and protected; here all is as at first */
	OK(vm_mmap_memseg(a.ctx, 0xd0000000, VM_FRAMEBUFFER, 4096, 8192, VM_PROT_RW));
	OK(vm_munmap_memseg(a.ctx, 0xa0000, 0x20000));
	OK(vm_mmap_memseg(a.ctx, 0xa0000, VM_FRAMEBUFFER, 0, 0x10000, VM_PROT_RW));
	OK(vm_mprotect_memseg(a.ctx, 0xf0000, 0x10000, VM_PROT_READ));
	OK(vm_mmap_memseg(b.ctx, 0xe0000000, VM_FRAMEBUFFER, 0, 65536, VM_PROT_RW));
	OK(vm_mprotect_memseg(b.ctx, 0x1000, 0x1000, VM_PROT_READ));
	data = save(&a, &len);
	load(&b, data, len);
	CHECK_EQ(vm_access(b.ctx, VM_SPACE_MEM, 0xe0000000, 4, false, &val), -1);
	val = 'v';
	OK(vm_access(b.ctx, VM_SPACE_MEM, 0xd0000000, 1, true, &val));
	CHECK_EQ(fb[1][4096], 'v');
	OK(vm_access(b.ctx, VM_SPACE_MEM, 0xa0001, 1, true, &val));
	CHECK_EQ(fb[1][1], 'v');
	CHECK_EQ(vm_access(b.ctx, VM_SPACE_MEM, 0xb0000, 1, false, &val), -1);
	val = 'v';
	OK(vm_access(b.ctx, VM_SPACE_MEM, 0x1000, 1, true, &val));
	CHECK_EQ(*(const char *)vm_map_read(b.ctx, 0x1000, 1), 'v');
	(void)vm_access(b.ctx, VM_SPACE_MEM, 0xf0000, 1, true, &val);
	CHECK_EQ(*(const char *)vm_map_read(b.ctx, 0xf0000, 1), 0);
	/* and back: the first one's own stream undoes what happened since */
	OK(vm_mprotect_memseg(b.ctx, 0xf0000, 0x10000, VM_PROT_ALL));
	load(&b, data, len);
	(void)vm_access(b.ctx, VM_SPACE_MEM, 0xf0000, 1, true, &val);
	CHECK_EQ(*(const char *)vm_map_read(b.ctx, 0xf0000, 1), 0);
	free(data);
	vm_close(a.ctx);
	vm_close(b.ctx);
}

/*
 * mov ecx, 0; again: inc ecx; mov [0x8000 + ecx * 4], ecx; mov al, cl; out 0x80, al; cmp ecx, 20;
 * jb again; out 0x81, al; hlt
 */
static const uint8_t counting[] = {
	0xb9, 0, 0, 0, 0, 0x41, 0x89, 0x0c, 0x8d, 0x00, 0x80, 0, 0, 0x88, 0xc8, 0xe6, 0x80, 0x83, 0xf9, 0x14, 0x72, 0xef,
	0xe6, 0x81, 0xf4,
};

static void
start_counting(struct machine *m)
{
	OK(vm_gpa_write(m->ctx, 0x1000, counting, sizeof(counting)));
	OK(vm_setup_freebsd_registers_i386(m->vcpu[0], 0x1000, 0x800, 0x4000));
}

/* Run to the next write of port 0x80, and what was written; -1 at the end. */
static int
next_count(struct machine *m)
{
	struct vm_exit exit;

	OK(vm_run(m->vcpu[0], &exit));
	CHECKF(exit.code == VM_EXIT_IO, "exit %d on %s at 0x%llx: %s", exit.code, vm_accel_name(m->ctx),
	    (unsigned long long)exit.pc, vm_errmsg());
	if (exit.u.io.port == 0x81)
		return (-1);
	CHECK_EQ(exit.u.io.port, 0x80);
	return ((int)exit.u.io.data & 0xff);
}

/* At every step of a run, move the VM to a fresh one of another back end and go on there. */
static void
relay(enum vm_accel one, enum vm_accel two)
{
	struct machine a, b;
	size_t len;
	void *data;

	make(&a, VM_ARCH_AMD64, one);
	/* What the host's processor is, another back end is not. */
	if (one != two)
		OK(vm_set_cpu_model(a.ctx, "baseline-v1"));
	start_counting(&a);
	for (int i = 1; i <= 20; i++) {
		CHECK_EQ(next_count(&a), i);
		data = save(&a, &len);
		make(&b, VM_ARCH_AMD64, i % 2 == 1 ? two : one);
		copy_ram(&a, &b);
		load(&b, data, len);
		CHECK(vm_accel_name(b.ctx) != NULL);	/* it was started, so this one is */
		free(data);
		vm_close(a.ctx);
		a = b;
	}
	CHECK_EQ(next_count(&a), -1);
	for (uint32_t i = 1; i <= 20; i++)
		CHECK_EQ(*(const uint32_t *)vm_map_read(a.ctx, 0x8000 + 4 * i, 4), i);
	CHECK_EQ(reg(a.vcpu[0], VM_AMD64_REG_RCX), 20);
	vm_close(a.ctx);
}

static void
need_kvm(void)
{
	if (vm_accel_probe(VM_ACCEL_KVM, VM_ARCH_AMD64) != 0)
		SKIP(vm_errmsg());
}

TEST(a_run_goes_on_soft_to_soft)
{
	relay(VM_ACCEL_SOFT, VM_ACCEL_SOFT);
}

TEST(a_run_goes_on_kvm_to_kvm)
{
	need_kvm();
	relay(VM_ACCEL_KVM, VM_ACCEL_KVM);
}

TEST(a_run_goes_on_between_kvm_and_soft)
{
	need_kvm();
	relay(VM_ACCEL_KVM, VM_ACCEL_SOFT);
}

/* A guest that has seen the host's processor, and a counter that the other cannot run: refused, and the one that was saved runs on. */
TEST(a_guest_of_the_hosts_processor_stays)
{
	struct machine a, b;
	size_t len;
	void *data;

	need_kvm();
	make(&a, VM_ARCH_AMD64, VM_ACCEL_KVM);
	start_counting(&a);
	CHECK_EQ(next_count(&a), 1);
	data = save(&a, &len);
	make(&b, VM_ARCH_AMD64, VM_ACCEL_SOFT);
	refused(&b, data, len, ENOTSUP, "soft: it has no processor model host");
	CHECK_EQ(next_count(&a), 2);
	free(data);
	vm_close(a.ctx);
	vm_close(b.ctx);
}

TEST(the_clock_goes_on_from_where_it_was)
{
	struct machine a, b;
	uint64_t now;
	size_t len;
	void *data;

	make(&a, VM_ARCH_AMD64, VM_ACCEL_SOFT);
	make(&b, VM_ARCH_AMD64, VM_ACCEL_SOFT);
	OK(vm_start(a.ctx));
	OK(vm_clock_set(a.ctx, 7000000000ULL));
	OK(vm_pause(a.ctx));
	now = vm_clock_now(a.ctx);
	CHECK(now >= 7000000000ULL);
	data = save(&a, &len);
	CHECK_EQ(vm_clock_now(a.ctx), now);		/* still paused */
	OK(vm_pause(b.ctx));
	load(&b, data, len);
	CHECK_EQ(vm_clock_now(b.ctx), now);
	usleep(2000);
	CHECK_EQ(vm_clock_now(b.ctx), now);
	OK(vm_resume(b.ctx));
	while (vm_clock_now(b.ctx) == now)
		;
	free(data);
	vm_close(a.ctx);
	vm_close(b.ctx);
}

TEST(controllers_come_along)
{
	struct machine a, b;
	uint64_t val;
	size_t len;
	void *data;

	/* a vector in the task priority and a redirection of an input, seen by the guest's registers */
	make(&a, VM_ARCH_AMD64, VM_ACCEL_SOFT);
	make(&b, VM_ARCH_AMD64, VM_ACCEL_SOFT);
	OK(vm_start(a.ctx));
	val = 0x10 + 2 * 3;
	OK(vm_access(a.ctx, VM_SPACE_MEM, 0xfec00000, 4, true, &val));
	val = 0x10041;
	OK(vm_access(a.ctx, VM_SPACE_MEM, 0xfec00010, 4, true, &val));
	data = save(&a, &len);
	load(&b, data, len);
	val = 0x10 + 2 * 3;
	OK(vm_access(b.ctx, VM_SPACE_MEM, 0xfec00000, 4, true, &val));
	OK(vm_access(b.ctx, VM_SPACE_MEM, 0xfec00010, 4, false, &val));
	CHECK_EQ(val & 0x1ffff, 0x10041);
	/* one that was never started has none: the target's goes back to power-on state */
	free(data);
	vm_close(a.ctx);
	make(&a, VM_ARCH_AMD64, VM_ACCEL_SOFT);
	data = save(&a, &len);
	load(&b, data, len);
	val = 0x10 + 2 * 3;
	OK(vm_access(b.ctx, VM_SPACE_MEM, 0xfec00000, 4, true, &val));
	OK(vm_access(b.ctx, VM_SPACE_MEM, 0xfec00010, 4, false, &val));
	CHECK_EQ(val & 0x1ffff, 0x10000);
	free(data);
	vm_close(a.ctx);
	vm_close(b.ctx);
}

TEST(arm64_too)
{
	struct machine a, b, amd;
	size_t len;
	void *data;

	make(&a, VM_ARCH_ARM64, VM_ACCEL_SOFT);
	make(&b, VM_ARCH_ARM64, VM_ACCEL_SOFT);
	make(&amd, VM_ARCH_AMD64, VM_ACCEL_SOFT);
	OK(vm_attach_vgic(a.ctx, 0x8000000, 0x10000, 0x80a0000, 0x40000));
	OK(vm_attach_vgic(b.ctx, 0x8000000, 0x10000, 0x80a0000, 0x40000));
	OK(vm_start(a.ctx));
	for (int i = VM_ARM64_REG_X0; i <= VM_ARM64_REG_LR; i++)
		OK(vm_set_register(a.vcpu[0], i, (uint64_t)i << 32));
	OK(vm_set_register(a.vcpu[1], VM_ARM64_REG_PC, 0x40001000));
	data = save(&a, &len);
	load(&b, data, len);
	for (int i = VM_ARM64_REG_X0; i <= VM_ARM64_REG_LR; i++)
		CHECK_EQ(reg(b.vcpu[0], i), (uint64_t)i << 32);
	CHECK_EQ(reg(b.vcpu[1], VM_ARM64_REG_PC), 0x40001000);
	CHECK_STR(vm_accel_name(b.ctx), "soft");
	refused(&amd, data, len, EILSEQ, "arm64");
	free(data);
	vm_close(a.ctx);
	vm_close(b.ctx);
	vm_close(amd.ctx);
}

TEST(what_does_not_fit_is_refused)
{
	const struct vm_layout other = { .name = "other", .nram = 1, .ram = { { 0, 1UL << 30 } } };
	struct vm_spec spec = { .size = sizeof(spec), .accel = VM_ACCEL_SOFT, .layout = &other };
	struct machine a, b;
	size_t len;
	void *data;

	make(&a, VM_ARCH_AMD64, VM_ACCEL_SOFT);
	data = save(&a, &len);
	/* another layout */
	b.ctx = vm_new(&spec);
	CHECK(b.ctx != NULL);
	OK(vm_setup_memory(b.ctx, 2 * MB, VM_MMAP_ALL));
	refused(&b, data, len, EILSEQ, "layout");
	vm_close(b.ctx);
	/* a segment too many, and one of another name */
	make(&b, VM_ARCH_AMD64, VM_ACCEL_SOFT);
	CHECK(vm_create_devmem(b.ctx, VM_BOOTROM, "rom", 4096) != MAP_FAILED);
	refused(&b, data, len, EILSEQ, "'rom'");
	free(data);
	CHECK(vm_create_devmem(a.ctx, VM_BOOTROM, "mor", 4096) != MAP_FAILED);
	data = save(&a, &len);
	refused(&b, data, len, EILSEQ, "'mor'");
	free(data);
	vm_close(b.ctx);
	/* a frequency that can no longer be changed */
	make(&b, VM_ARCH_AMD64, VM_ACCEL_SOFT);
	CHECK(vm_create_devmem(b.ctx, VM_BOOTROM, "mor", 4096) != MAP_FAILED);
	OK(vm_start(b.ctx));
	OK(vm_set_counter_freq(a.ctx, 3000000000ULL));
	data = save(&a, &len);
	refused(&b, data, len, ENOTSUP, "3000000000");
	free(data);
	vm_close(a.ctx);
	vm_close(b.ctx);
}

/* A section that nobody knows is found when all is read; one that is missing at once. */
TEST(sections_too_many_and_too_few)
{
	static const struct { uint32_t x; } extra = { 1 };
	static const struct vm_state_field fields[] = {
		{ .name = "x", .type = VM_FIELD_U32, .offset = 0, .count = 1, .stride = 4, .since = 1 },
	};
	const struct vm_state_table table = VM_STATE_TABLE("extra", 1, 1, fields, NULL);
	struct vm_state_out *out = vm_state_out_open();
	struct vm_state_in *in;
	struct machine a;
	const void *data;
	size_t len;

	CHECK(out != NULL);
	make(&a, VM_ARCH_AMD64, VM_ACCEL_SOFT);
	OK(vm_state_put(out, &table, "device", &extra));
	data = vm_state_out_data(out, &len);
	refused(&a, data, len, EILSEQ, "'vm'");
	OK(vm_state_save(a.ctx, out));
	in = tv_reader(out);
	OK(vm_state_load(a.ctx, in));
	CHECK_EQ(vm_state_in_done(in), -1);
	CHECK_EQ(errno, ENOTSUP);
	CHECK_HAS(vm_errmsg(), "'extra' 'device'");
	vm_state_in_close(in);
	vm_state_out_close(out);
	vm_close(a.ctx);
}
