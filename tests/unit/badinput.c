/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * badinput.c - every public function of libvmmapi with what it should not be given: NULL, numbers
 * out of range, handles of the wrong kind or architecture, calls in the wrong state.  Each gives an
 * error, errno and a sentence, and never a crash.
 *
 * A case is named after its function; the last ones find out from the library's symbols whether one
 * was forgotten.
 */
#include <sys/eventfd.h>

#include <pthread.h>
#include <stdatomic.h>

#include <vmmapi.h>
#include <vmmapi/amd64.h>
#include <vmmapi/arm64.h>
#include <vmmapi/state.h>

#include "dynsym.h"
#include "test.h"

TEST_MAIN()

#define	NOWHERE		(1ULL << 62)
#define	RAM		(4UL << 20)

/* The call returns -1 with this errno and a sentence. */
#define	FAILS(error, call) do {							\
	errno = 0;								\
	failed_(__LINE__, #call, (long)(call), -1, (error));			\
} while (0)
/* The call returns NULL with this errno and a sentence. */
#define	NULLS(error, call) do {							\
	errno = 0;								\
	failed_(__LINE__, #call, (long)(intptr_t)(call), 0, (error));		\
} while (0)
#define	OK(call)		CHECKF((call) == 0, "%s: %s", #call, vm_errmsg())

static void
failed_(int line, const char *call, long got, long want, int error)
{
	int seen = errno;

	CHECKF(got == want, "line %d: %s returns %ld, not %ld", line, call, got, want);
	CHECKF(seen == error, "line %d: %s: errno %d (%s), not %d (%s); it says: %s", line, call, seen, strerror(seen), error,
	    strerror(error), vm_errmsg());
	CHECKF(vm_errmsg()[0] != '\0', "line %d: %s says nothing", line, call);
}

/* SECTION: objects to misuse */

static struct vmctx *
make(enum vm_arch arch)
{
	struct vm_spec spec = { .size = sizeof(spec), .arch = arch, .accel = VM_ACCEL_SOFT };
	struct vmctx *ctx = vm_new(&spec);

	CHECKF(ctx != NULL, "%s", vm_errmsg());
	OK(vm_setup_memory(ctx, RAM, VM_MMAP_ALL));
	return (ctx);
}

static struct vmctx *
amd64(void)
{
	return (make(VM_ARCH_AMD64));
}

static struct vmctx *
arm64(void)
{
	return (make(VM_ARCH_ARM64));
}

static struct vcpu *
cpu(struct vmctx *ctx)
{
	struct vcpu *vcpu = vm_vcpu_open(ctx, 0);

	CHECKF(vcpu != NULL, "%s", vm_errmsg());
	return (vcpu);
}

/* A vCPU that executes "jmp ." on a thread of its own. */
struct busy {
	struct vmctx	*ctx;
	struct vcpu	*vcpu;
	pthread_t	 thread;
};

static void *
busy_main(void *arg)
{
	struct busy *b = arg;
	struct vm_exit exit;

	CHECKF(vm_run(b->vcpu, &exit) == 0, "%s", vm_errmsg());
	CHECK_EQ(exit.code, VM_EXIT_KICKED);
	return (NULL);
}

static void
busy_start(struct busy *b)
{
	uint64_t val;

	b->ctx = amd64();
	b->vcpu = cpu(b->ctx);
	OK(vm_gpa_write(b->ctx, 0x1000, "\xeb\xfe", 2));
	OK(vm_setup_freebsd_registers_i386(b->vcpu, 0x1000, 0x800, 0x2000));
	OK(vm_start(b->ctx));
	CHECK_EQ(pthread_create(&b->thread, NULL, busy_main, b), 0);
	while (vm_get_register(b->vcpu, VM_AMD64_REG_RIP, &val) == 0)
		usleep(1000);
	CHECK_EQ(errno, EBUSY);
}

static void
busy_end(struct busy *b)
{
	OK(vm_vcpu_kick(b->vcpu));
	CHECK_EQ(pthread_join(b->thread, NULL), 0);
	vm_close(b->ctx);
}

/* Named VMs of a case are in a directory of their own. */
static char rundir[64];

static void
own_rundir(void)
{
	snprintf(rundir, sizeof(rundir), "/tmp/hyve-badinput.XXXXXX");
	CHECK(mkdtemp(rundir) != NULL);
	setenv("HYVE_RUNDIR", rundir, 1);
}

static void
remove_rundir(void)
{
	CHECKF(rmdir(rundir) == 0, "%s: %s", rundir, strerror(errno));
}

static void
bad_names(int (*create)(const char *name), int missing)
{
	char name[VM_MAX_NAMELEN + 2];

	own_rundir();
	FAILS(EINVAL, create(NULL));
	FAILS(EINVAL, create(""));
	FAILS(EINVAL, create("a/b"));
	FAILS(EINVAL, create("/"));
	FAILS(EINVAL, create("."));
	FAILS(EINVAL, create(".."));
	FAILS(EINVAL, create(".hidden"));
	FAILS(EINVAL, create("new\nline"));
	memset(name, 'n', sizeof(name));
	name[VM_MAX_NAMELEN + 1] = '\0';
	FAILS(ENAMETOOLONG, create(name));
	if (missing != 0)
		FAILS(missing, create("missing"));
	remove_rundir();
}

/* SECTION: errors and life */

TEST(vm_errmsg)
{
	CHECK_STR(vm_errmsg(), "");
	FAILS(EINVAL, vcpu_id(NULL));
	CHECK(vm_errmsg()[0] != '\0');
}

TEST(vm_new)
{
	struct vm_spec spec = { .size = sizeof(spec) };
	struct vm_layout layout = { .name = "odd", .nram = 1, .ram = { { 0, 0x1000 } } };

	NULLS(EINVAL, vm_new(NULL));
	spec.size--;
	NULLS(EINVAL, vm_new(&spec));
	spec.size = 0;
	NULLS(EINVAL, vm_new(&spec));
	spec.size = sizeof(spec);
	spec.arch = (enum vm_arch)99;
	NULLS(EINVAL, vm_new(&spec));
	spec.arch = VM_ARCH_AMD64;
	spec.accel = (enum vm_accel)99;
	NULLS(EINVAL, vm_new(&spec));
	spec.accel = VM_ACCEL_SOFT;
	spec.clock = (enum vm_clock_source)2;
	NULLS(EINVAL, vm_new(&spec));
	spec.clock = VM_CLOCK_HOST;
	spec.flags = 0x8000;
	NULLS(EINVAL, vm_new(&spec));
	spec.flags = 0;
	spec.intc = "no such controller";
	NULLS(EINVAL, vm_new(&spec));
	spec.intc = NULL;
	layout.ram[0].limit = 0x1001;
	spec.layout = &layout;
	NULLS(EINVAL, vm_new(&spec));
	layout.ram[0].limit = 0x1000;
	layout.nram = VM_LAYOUT_MAX + 1;
	NULLS(EINVAL, vm_new(&spec));
	layout.nram = 1;
	own_rundir();
	spec.name = "a/b";
	NULLS(EINVAL, vm_new(&spec));
	remove_rundir();
}

TEST(vm_create)
{
	bad_names(vm_create, 0);
	own_rundir();
	OK(vm_create("x"));
	FAILS(EEXIST, vm_create("x"));
	vm_destroy(vm_open("x"));
	remove_rundir();
	setenv("HYVE_RUNDIR", "/proc/no/such/place", 1);
	errno = 0;
	CHECK_EQ(vm_create("x"), -1);
	CHECK(errno != 0 && vm_errmsg()[0] != '\0');
	CHECK_HAS(vm_errmsg(), "/proc/no/such/place");
	setenv("HYVE_RUNDIR", "/dev/null", 1);
	CHECK_EQ(vm_create("x"), -1);
	CHECK_HAS(vm_errmsg(), "/dev/null");
}

static int
open_it(const char *name)
{
	return (vm_open(name) == NULL ? -1 : 0);
}

TEST(vm_open)
{
	struct vmctx *ctx;

	bad_names(open_it, ENOENT);
	own_rundir();
	OK(vm_create("locked"));
	ctx = vm_open("locked");
	CHECK(ctx != NULL);
	NULLS(EBUSY, vm_open("locked"));
	vm_destroy(ctx);
	remove_rundir();
}

static int
openf_it(const char *name)
{
	return (vm_openf(name, VMMAPI_OPEN_CREATE | VMMAPI_OPEN_CREATE_DESTROY_ON_CLOSE) == NULL ? -1 : 0);
}

TEST(vm_openf)
{
	bad_names(openf_it, 0);
	own_rundir();
	NULLS(EINVAL, vm_openf("x", 0x80));
	NULLS(EINVAL, vm_openf("x", -1));
	NULLS(ENOENT, vm_openf("x", 0));
	NULLS(ENOENT, vm_openf("x", VMMAPI_OPEN_REINIT));
	remove_rundir();
}

TEST(vm_close)
{
	vm_close(NULL);
}

TEST(vm_destroy)
{
	vm_destroy(NULL);
}

TEST(vm_reinit)
{
	struct vmctx *ctx = amd64();
	struct vm_range_spec rs = { .name = "r", .space = VM_SPACE_IO, .base = 0x80, .len = 1 };
	struct vm_doorbell_spec ds = { .space = VM_SPACE_IO, .addr = 0x90, .size = 1, .fd = eventfd(0, 0) };
	struct vm_doorbell *db;
	struct vm_range *range;
	struct vm_irq *irq;
	struct vm_timer *timer;
	struct vm_dirty *dirty;

	FAILS(EINVAL, vm_reinit(NULL));
	range = vm_range_add(ctx, &rs);
	CHECK(range != NULL);
	FAILS(EBUSY, vm_reinit(ctx));
	vm_range_remove(range);
	irq = vm_irq_open_line(ctx, 5);
	CHECK(irq != NULL);
	FAILS(EBUSY, vm_reinit(ctx));
	vm_irq_close(irq);
	irq = vm_irq_open_msi(ctx, 8);
	CHECK(irq != NULL);
	FAILS(EBUSY, vm_reinit(ctx));
	vm_irq_close(irq);
	db = vm_doorbell_open(ctx, &ds);
	CHECKF(db != NULL, "%s", vm_errmsg());
	FAILS(EBUSY, vm_reinit(ctx));
	vm_doorbell_close(db);
	timer = vm_timer_open(ctx, 1000, (void (*)(void *))free, NULL);
	CHECK(timer != NULL);
	FAILS(EBUSY, vm_reinit(ctx));
	vm_timer_close(timer);
	dirty = vm_dirty_open(ctx);
	CHECK(dirty != NULL);
	FAILS(EBUSY, vm_reinit(ctx));
	vm_dirty_close(dirty);
	OK(vm_reinit(ctx));
	vm_close(ctx);
}

TEST(vm_suspend)
{
	struct vmctx *ctx = amd64();

	FAILS(EINVAL, vm_suspend(NULL, VM_SUSPEND_RESET));
	FAILS(EINVAL, vm_suspend(ctx, VM_SUSPEND_NONE));
	FAILS(EINVAL, vm_suspend(ctx, VM_SUSPEND_LAST));
	FAILS(EINVAL, vm_suspend(ctx, (enum vm_suspend_how)-1));
	OK(vm_suspend(ctx, VM_SUSPEND_HALT));
	FAILS(EALREADY, vm_suspend(ctx, VM_SUSPEND_RESET));
	vm_close(ctx);
}

TEST(vm_reset)
{
	FAILS(EINVAL, vm_reset(NULL));
}

TEST(vm_set_cpu_model)
{
	struct vmctx *ctx = amd64(), *arm = arm64();

	FAILS(EINVAL, vm_set_cpu_model(NULL, "v2"));
	FAILS(EINVAL, vm_set_cpu_model(ctx, ""));
	FAILS(EINVAL, vm_set_cpu_model(ctx, "v2 and a name that is longer than any that there could be"));
	FAILS(EINVAL, vm_set_cpu_model(ctx, "v22"));
	CHECK_HAS(vm_errmsg(), "did you mean 'v2'?");
	FAILS(EINVAL, vm_set_cpu_model(ctx, "baselin"));
	CHECK_HAS(vm_errmsg(), "did you mean 'baseline'?");
	OK(vm_set_cpu_model(ctx, "v3"));
	FAILS(ENOTSUP, vm_start(ctx));
	FAILS(EINVAL, vm_set_cpu_model(arm, "v2"));
	CHECK_HAS(vm_errmsg(), "did you mean 'v8'?");
	OK(vm_set_cpu_model(ctx, NULL));
	OK(vm_start(ctx));
	FAILS(EBUSY, vm_set_cpu_model(ctx, "v2"));
	vm_close(arm);
	vm_close(ctx);
}

TEST(vm_get_cpu_model)
{
	NULLS(EINVAL, vm_get_cpu_model(NULL));
}

TEST(vm_unsuspend)
{
	FAILS(EINVAL, vm_unsuspend(NULL));
}

static struct vmctx *handler_ctx;
static _Atomic int handler_pause, handler_sync;

static void
handler_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	handler_pause = vm_pause(handler_ctx) == -1 ? errno : 0;
	handler_sync = vm_range_sync(handler_ctx) == -1 ? errno : 0;
}

/* Calls from inside a range handler that would wait for itself. */
static void
in_handler(void)
{
	struct vm_range_spec rs = { .name = "r", .space = VM_SPACE_IO, .base = 0x80, .len = 1, .write = handler_write };
	struct vmctx *ctx = handler_ctx = amd64();
	struct vcpu *vcpu = cpu(ctx);
	struct vm_range *range = vm_range_add(ctx, &rs);
	struct vm_exit exit;

	CHECK(range != NULL);
	OK(vm_gpa_write(ctx, 0x1000, "\xe6\x80\xf4", 3));		/* out 0x80, al; hlt */
	OK(vm_setup_freebsd_registers_i386(vcpu, 0x1000, 0x800, 0x2000));
	OK(vm_set_capability(vcpu, VM_CAP_HALT_EXIT, 1));
	OK(vm_run(vcpu, &exit));
	CHECK_EQ(exit.code, VM_EXIT_HALT);
	vm_range_remove(range);
	vm_close(ctx);
}

TEST(vm_pause)
{
	FAILS(EINVAL, vm_pause(NULL));
	in_handler();
	CHECK_EQ(handler_pause, EDEADLK);
}

TEST(vm_resume)
{
	struct vmctx *ctx = amd64();

	FAILS(EINVAL, vm_resume(NULL));
	FAILS(EINVAL, vm_resume(ctx));
	OK(vm_pause(ctx));
	OK(vm_resume(ctx));
	FAILS(EINVAL, vm_resume(ctx));
	vm_close(ctx);
}

TEST(vm_get_name)
{
	CHECK(vm_get_name(NULL) == NULL);
}

TEST(vm_get_arch)
{
	CHECK(vm_arch_name(vm_get_arch(NULL)) == NULL);
}

TEST(vm_arch_name)
{
	CHECK(vm_arch_name((enum vm_arch)0) == NULL);
	CHECK(vm_arch_name((enum vm_arch)3) == NULL);
	CHECK(vm_arch_name((enum vm_arch)-1) == NULL);
}

TEST(vm_start)
{
	struct vm_spec spec = { .size = sizeof(spec), .accel = VM_ACCEL_KVM, .clock = VM_CLOCK_ICOUNT };
	struct vmctx *ctx = vm_new(&spec);

	FAILS(EINVAL, vm_start(NULL));
	/* virtual time is soft's alone */
	CHECK(ctx != NULL);
	FAILS(ENOTSUP, vm_start(ctx));
	CHECK(vm_accel_name(ctx) == NULL);
	vm_close(ctx);
}

TEST(vm_accel_name)
{
	struct vmctx *ctx = amd64();

	CHECK(vm_accel_name(NULL) == NULL);
	CHECK(vm_accel_name(ctx) == NULL);
	vm_close(ctx);
}

TEST(vm_accel_reason)
{
	struct vmctx *ctx = amd64();

	CHECK_STR(vm_accel_reason(ctx), "");
	(void)vm_accel_reason(NULL);
	vm_close(ctx);
}

TEST(vm_accel_probe)
{
	FAILS(EINVAL, vm_accel_probe((enum vm_accel)99, VM_ARCH_AMD64));
	FAILS(EINVAL, vm_accel_probe(VM_ACCEL_SOFT, (enum vm_arch)99));
	FAILS(EINVAL, vm_accel_probe((enum vm_accel)-1, (enum vm_arch)0));
}

/* SECTION: memory */

TEST(vm_parse_memsize)
{
	static const char *const bad[] = { "", " 1", "x", "-1", "1X", "1GG", "1G2", "M", "0x", "1.5G", "1M ", "+" };
	size_t size = 4711;

	FAILS(EINVAL, vm_parse_memsize(NULL, &size));
	FAILS(EINVAL, vm_parse_memsize("1", NULL));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		errno = 0;
		CHECKF(vm_parse_memsize(bad[i], &size) == -1 && errno == EINVAL, "'%s' is a size of %zu (errno %d)", bad[i],
		    size, errno);
		CHECK(vm_errmsg()[0] != '\0');
	}
	FAILS(ERANGE, vm_parse_memsize("16777216T", &size));
	FAILS(ERANGE, vm_parse_memsize("99999999999999999999999", &size));
	CHECK_EQ(size, 4711);
}

TEST(vm_set_layout)
{
	struct vm_layout l = { .name = "test", .nram = 2, .nhole = 1,
	    .ram = { { 0, 1 << 20 }, { 1ULL << 32, 1ULL << 33 } }, .hole = { { 1 << 30, 1ULL << 31 } } }, bad;
	struct vm_spec spec = { .size = sizeof(spec) };
	struct vmctx *ctx = vm_new(&spec);

	CHECK(ctx != NULL);
	FAILS(EINVAL, vm_set_layout(NULL, &l));
	FAILS(EINVAL, vm_set_layout(ctx, NULL));
#define	BAD(change) do {							\
	bad = l;								\
	change;									\
	FAILS(EINVAL, vm_set_layout(ctx, &bad));				\
} while (0)
	BAD(bad.nram = 0);
	BAD(bad.nram = VM_LAYOUT_MAX + 1);
	BAD(bad.nhole = UINT32_MAX);
	BAD(bad.ram[0].limit = 0);
	BAD(bad.ram[0].limit = 0x1234);
	BAD(bad.ram[0].base = 0x10);
	BAD(bad.ram[1].base = 0x1000);				/* overlaps the first */
	BAD(bad.ram[1].base = bad.ram[0].base; bad.ram[0].base = 1ULL << 34; bad.ram[0].limit = 1ULL << 35);
	BAD(bad.ram[1].limit = UINT64_MAX & ~0xfffULL);		/* beyond what the architecture addresses */
	BAD(bad.hole[0].base = 0);				/* where RAM is */
	BAD(bad.hole[0].limit = bad.hole[0].base);
#undef BAD
	OK(vm_set_layout(ctx, &l));
	OK(vm_setup_memory(ctx, RAM, VM_MMAP_ALL));
	FAILS(EBUSY, vm_set_layout(ctx, &l));
	vm_close(ctx);
}

TEST(vm_get_layout)
{
	struct vmctx *ctx = amd64();
	struct vm_layout l;

	FAILS(EINVAL, vm_get_layout(NULL, &l));
	FAILS(EINVAL, vm_get_layout(ctx, NULL));
	vm_close(ctx);
}

TEST(vm_setup_memory)
{
	struct vm_spec spec = { .size = sizeof(spec), .accel = VM_ACCEL_SOFT };
	struct vmctx *ctx = vm_new(&spec);

	CHECK(ctx != NULL);
	FAILS(EINVAL, vm_setup_memory(NULL, RAM, VM_MMAP_ALL));
	FAILS(EINVAL, vm_setup_memory(ctx, 0, VM_MMAP_ALL));
	FAILS(EINVAL, vm_setup_memory(ctx, 4095, VM_MMAP_ALL));
	FAILS(EINVAL, vm_setup_memory(ctx, SIZE_MAX & ~(size_t)0xfff, VM_MMAP_ALL));
	FAILS(EINVAL, vm_setup_memory(ctx, 1ULL << 60, VM_MMAP_ALL));
	FAILS(ENOTSUP, vm_setup_memory(ctx, RAM, VM_MMAP_NONE));
	FAILS(ENOTSUP, vm_setup_memory(ctx, RAM, VM_MMAP_SPARSE));
	FAILS(ENOTSUP, vm_setup_memory(ctx, RAM, (enum vm_mmap_style)77));
	/* none of that made any */
	CHECK_EQ(vm_get_lowmem_size(ctx), 0);
	NULLS(EFAULT, vm_map_gpa(ctx, 0, 1));
	OK(vm_start(ctx));
	FAILS(EBUSY, vm_setup_memory(ctx, RAM, VM_MMAP_ALL));
	vm_close(ctx);
}

/* What reaches for RAM, with ranges that are not all RAM. */
static const struct { vm_paddr_t gpa; size_t len; } not_ram[] = {
	{ RAM, 1 }, { RAM - 1, 2 }, { 0, RAM + 1 }, { UINT64_MAX, 1 }, { UINT64_MAX, 2 }, { UINT64_MAX - 4095, 8192 },
	{ 1, SIZE_MAX }, { NOWHERE, 4096 }, { 0xfee00000, 4 }, { 0xffffffff, 2 },
};

TEST(vm_map_gpa)
{
	struct vmctx *ctx = amd64();

	NULLS(EINVAL, vm_map_gpa(NULL, 0, 1));
	for (size_t i = 0; i < sizeof(not_ram) / sizeof(not_ram[0]); i++)
		NULLS(EFAULT, vm_map_gpa(ctx, not_ram[i].gpa, not_ram[i].len));
	vm_close(ctx);
}

TEST(vm_map_read)
{
	struct vmctx *ctx = amd64();

	NULLS(EINVAL, vm_map_read(NULL, 0, 1));
	for (size_t i = 0; i < sizeof(not_ram) / sizeof(not_ram[0]); i++)
		NULLS(EFAULT, vm_map_read(ctx, not_ram[i].gpa, not_ram[i].len));
	vm_close(ctx);
}

TEST(vm_rev_map_gpa)
{
	struct vmctx *ctx = amd64();
	char *base = vm_map_gpa(ctx, 0, 1);

	CHECK_EQ(vm_rev_map_gpa(NULL, base), UINT64_MAX);
	CHECK_EQ(vm_rev_map_gpa(ctx, NULL), UINT64_MAX);
	CHECK_EQ(vm_rev_map_gpa(ctx, &ctx), UINT64_MAX);
	CHECK_EQ(vm_rev_map_gpa(ctx, (void *)((uintptr_t)base - 1)), UINT64_MAX);
	CHECK_EQ(vm_rev_map_gpa(ctx, (void *)((uintptr_t)base + RAM)), UINT64_MAX);
	CHECK_EQ(vm_rev_map_gpa(ctx, (void *)UINTPTR_MAX), UINT64_MAX);
	vm_close(ctx);
}

TEST(vm_get_lowmem_limit)
{
	CHECK_EQ(vm_get_lowmem_limit(NULL), 0);
}

TEST(vm_get_lowmem_size)
{
	CHECK_EQ(vm_get_lowmem_size(NULL), 0);
}

TEST(vm_get_highmem_base)
{
	CHECK_EQ(vm_get_highmem_base(NULL), 0);
}

TEST(vm_get_highmem_size)
{
	CHECK_EQ(vm_get_highmem_size(NULL), 0);
}

TEST(vm_set_memflags)
{
	struct vm_spec spec = { .size = sizeof(spec) };
	struct vmctx *ctx = vm_new(&spec);

	CHECK(ctx != NULL);
	vm_set_memflags(NULL, VM_MEM_F_INCORE);
	vm_set_memflags(ctx, (int)0xfffffff0 | VM_MEM_F_INCORE);
	CHECK_EQ(vm_get_memflags(ctx), VM_MEM_F_INCORE);
	vm_close(ctx);
}

TEST(vm_get_memflags)
{
	CHECK_EQ(vm_get_memflags(NULL), 0);
}

/* vm_create_devmem() fails by MAP_FAILED. */
#define	NOMAP(error, call)	FAILS(error, (intptr_t)(call))

TEST(vm_create_devmem)
{
	struct vmctx *ctx = amd64();
	static const char longer[] = "a name of more than thirty-one by";

	NOMAP(EINVAL, vm_create_devmem(NULL, VM_BOOTROM, "rom", 4096));
	NOMAP(EINVAL, vm_create_devmem(ctx, VM_BOOTROM, NULL, 4096));
	NOMAP(EINVAL, vm_create_devmem(ctx, VM_BOOTROM, longer, 4096));
	NOMAP(EINVAL, vm_create_devmem(ctx, VM_BOOTROM, "rom", 0));
	NOMAP(EINVAL, vm_create_devmem(ctx, VM_BOOTROM, "rom", 4097));
	NOMAP(EINVAL, vm_create_devmem(ctx, VM_SYSMEM, "rom", 4096));
	NOMAP(EINVAL, vm_create_devmem(ctx, VM_SYSMEM + VM_MAXSYSMEM - 1, "rom", 4096));
	NOMAP(EINVAL, vm_create_devmem(ctx, -1, "rom", 4096));
	NOMAP(EINVAL, vm_create_devmem(ctx, VM_MAX_MEMSEGS, "rom", 4096));
	errno = 0;
	CHECK(vm_create_devmem(ctx, VM_BOOTROM, "rom", SIZE_MAX & ~(size_t)0xfff) == (void *)-1);
	CHECK(errno != 0 && vm_errmsg()[0] != '\0');
	CHECK(vm_create_devmem(ctx, VM_BOOTROM, "rom", 8192) != (void *)-1);
	NOMAP(EEXIST, vm_create_devmem(ctx, VM_BOOTROM, "rom", 4096));
	NOMAP(EEXIST, vm_create_devmem(ctx, VM_BOOTROM, "ram", 8192));
	vm_close(ctx);
}

TEST(vm_get_memseg)
{
	struct vmctx *ctx = amd64();
	char name[VM_MAX_SEGNAME + 1];
	size_t len = 1;

	FAILS(EINVAL, vm_get_memseg(NULL, 0, &len, NULL, 0));
	FAILS(EINVAL, vm_get_memseg(ctx, -1, &len, NULL, 0));
	FAILS(EINVAL, vm_get_memseg(ctx, VM_MAX_MEMSEGS, &len, NULL, 0));
	FAILS(EINVAL, vm_get_memseg(ctx, 0, NULL, NULL, 0));
	FAILS(ENAMETOOLONG, vm_get_memseg(ctx, VM_SYSMEM, &len, name, 0));
	FAILS(ENAMETOOLONG, vm_get_memseg(ctx, VM_SYSMEM, &len, name, 2));
	OK(vm_get_memseg(ctx, VM_FRAMEBUFFER, &len, name, sizeof(name)));
	CHECK_EQ(len, 0);
	vm_close(ctx);
}

TEST(vm_mmap_memseg)
{
	struct vmctx *ctx = amd64();
	const vm_paddr_t at = 0xfff00000;

	CHECK(vm_create_devmem(ctx, VM_BOOTROM, "rom", 65536) != (void *)-1);
	FAILS(EINVAL, vm_mmap_memseg(NULL, at, VM_BOOTROM, 0, 4096, VM_PROT_READ));
	FAILS(EINVAL, vm_mmap_memseg(ctx, at + 1, VM_BOOTROM, 0, 4096, VM_PROT_READ));
	FAILS(EINVAL, vm_mmap_memseg(ctx, at, VM_BOOTROM, 1, 4096, VM_PROT_READ));
	FAILS(EINVAL, vm_mmap_memseg(ctx, at, VM_BOOTROM, 0, 4095, VM_PROT_READ));
	FAILS(EINVAL, vm_mmap_memseg(ctx, at, VM_BOOTROM, 0, 0, VM_PROT_READ));
	FAILS(EINVAL, vm_mmap_memseg(ctx, at, VM_BOOTROM, 0, 65536 + 4096, VM_PROT_READ));
	FAILS(EINVAL, vm_mmap_memseg(ctx, at, VM_BOOTROM, 65536, 4096, VM_PROT_READ));
	FAILS(EINVAL, vm_mmap_memseg(ctx, at, VM_BOOTROM, -4096, 4096, VM_PROT_READ));
	FAILS(EINVAL, vm_mmap_memseg(ctx, at, VM_BOOTROM, INT64_MAX & ~0xfffLL, 8192, VM_PROT_READ));
	FAILS(EINVAL, vm_mmap_memseg(ctx, at, VM_BOOTROM, 0, 4096, 0x10));
	FAILS(EINVAL, vm_mmap_memseg(ctx, at, -1, 0, 4096, VM_PROT_READ));
	FAILS(EINVAL, vm_mmap_memseg(ctx, at, VM_MAX_MEMSEGS, 0, 4096, VM_PROT_READ));
	FAILS(EINVAL, vm_mmap_memseg(ctx, UINT64_MAX & ~0xfffULL, VM_BOOTROM, 0, 8192, VM_PROT_READ));
	FAILS(EINVAL, vm_mmap_memseg(ctx, NOWHERE, VM_BOOTROM, 0, 4096, VM_PROT_READ));
	FAILS(ENOENT, vm_mmap_memseg(ctx, at, VM_FRAMEBUFFER, 0, 4096, VM_PROT_READ));
	FAILS(EEXIST, vm_mmap_memseg(ctx, 0, VM_BOOTROM, 0, 4096, VM_PROT_READ));
	FAILS(EEXIST, vm_mmap_memseg(ctx, RAM - 4096, VM_BOOTROM, 0, 8192, VM_PROT_READ));
	OK(vm_mmap_memseg(ctx, at, VM_BOOTROM, 0, 65536, VM_PROT_READ));
	OK(vm_mmap_memseg(ctx, at, VM_BOOTROM, 0, 65536, VM_PROT_READ));
	FAILS(EEXIST, vm_mmap_memseg(ctx, at, VM_BOOTROM, 0, 65536, VM_PROT_RW));
	FAILS(EEXIST, vm_mmap_memseg(ctx, at, VM_BOOTROM, 4096, 4096, VM_PROT_READ));
	vm_close(ctx);
}

TEST(vm_munmap_memseg)
{
	struct vmctx *ctx = amd64();

	FAILS(EINVAL, vm_munmap_memseg(NULL, 0, 4096));
	FAILS(EINVAL, vm_munmap_memseg(ctx, 0, 0));
	FAILS(EINVAL, vm_munmap_memseg(ctx, 1, 4096));
	FAILS(EINVAL, vm_munmap_memseg(ctx, 0, 1));
	FAILS(EINVAL, vm_munmap_memseg(ctx, UINT64_MAX & ~0xfffULL, 8192));
	FAILS(ENOENT, vm_munmap_memseg(ctx, RAM, 4096));
	FAILS(ENOENT, vm_munmap_memseg(ctx, RAM - 4096, 8192));
	CHECK(vm_map_gpa(ctx, RAM - 4096, 4096) != NULL);
	vm_close(ctx);
}

TEST(vm_mprotect_memseg)
{
	struct vmctx *ctx = amd64();

	FAILS(EINVAL, vm_mprotect_memseg(NULL, 0, 4096, VM_PROT_READ));
	FAILS(EINVAL, vm_mprotect_memseg(ctx, 0, 0, VM_PROT_READ));
	FAILS(EINVAL, vm_mprotect_memseg(ctx, 1, 4096, VM_PROT_READ));
	FAILS(EINVAL, vm_mprotect_memseg(ctx, 0, 4096, 0x10));
	FAILS(EINVAL, vm_mprotect_memseg(ctx, UINT64_MAX & ~0xfffULL, 8192, VM_PROT_READ));
	FAILS(ENOENT, vm_mprotect_memseg(ctx, RAM, 4096, VM_PROT_READ));
	FAILS(ENOENT, vm_mprotect_memseg(ctx, RAM - 4096, 8192, VM_PROT_READ));
	vm_close(ctx);
}

TEST(vm_mmap_getnext)
{
	struct vmctx *ctx = amd64();
	vm_paddr_t gpa = 0;
	vm_ooffset_t off;
	int segid, prot, flags;
	size_t len;

	FAILS(EINVAL, vm_mmap_getnext(NULL, &gpa, &segid, &off, &len, &prot, &flags));
	FAILS(EINVAL, vm_mmap_getnext(ctx, NULL, &segid, &off, &len, &prot, &flags));
	FAILS(EINVAL, vm_mmap_getnext(ctx, &gpa, NULL, &off, &len, &prot, &flags));
	FAILS(EINVAL, vm_mmap_getnext(ctx, &gpa, &segid, NULL, &len, &prot, &flags));
	FAILS(EINVAL, vm_mmap_getnext(ctx, &gpa, &segid, &off, NULL, &prot, &flags));
	FAILS(EINVAL, vm_mmap_getnext(ctx, &gpa, &segid, &off, &len, NULL, &flags));
	FAILS(EINVAL, vm_mmap_getnext(ctx, &gpa, &segid, &off, &len, &prot, NULL));
	gpa = UINT64_MAX;
	FAILS(ENOENT, vm_mmap_getnext(ctx, &gpa, &segid, &off, &len, &prot, &flags));
	vm_close(ctx);
}

TEST(vm_write_begin)
{
	struct vmctx *ctx = amd64();
	struct vm_wsec ws;

	NULLS(EINVAL, vm_write_begin(NULL, 0, 1, &ws));
	NULLS(EINVAL, vm_write_begin(ctx, 0, 1, NULL));
	NULLS(EINVAL, vm_write_begin(ctx, 0, 0, &ws));
	for (size_t i = 0; i < sizeof(not_ram) / sizeof(not_ram[0]); i++)
		NULLS(EFAULT, vm_write_begin(ctx, not_ram[i].gpa, not_ram[i].len, &ws));
	vm_close(ctx);
}

TEST(vm_write_commit)
{
	struct vmctx *ctx = amd64();
	struct vm_wsec ws;

	vm_write_commit(NULL);
	/* of a section that did not begin, and twice */
	CHECK(vm_write_begin(ctx, RAM, 1, &ws) == NULL);
	vm_write_commit(&ws);
	CHECK(vm_write_begin(ctx, 0, 1, &ws) != NULL);
	vm_write_commit(&ws);
	vm_write_commit(&ws);
	vm_close(ctx);
}

TEST(vm_write_cancel)
{
	struct vmctx *ctx = amd64();
	struct vm_wsec ws;

	vm_write_cancel(NULL);
	CHECK(vm_write_begin(ctx, RAM, 1, &ws) == NULL);
	vm_write_cancel(&ws);
	CHECK(vm_write_begin(ctx, 0, 1, &ws) != NULL);
	vm_write_cancel(&ws);
	vm_write_cancel(&ws);
	vm_close(ctx);
}

TEST(vm_gpa_read)
{
	struct vmctx *ctx = amd64();
	char buf[64];

	FAILS(EINVAL, vm_gpa_read(NULL, 0, buf, 1));
	FAILS(EINVAL, vm_gpa_read(ctx, 0, NULL, 1));
	for (size_t i = 0; i < sizeof(not_ram) / sizeof(not_ram[0]); i++)
		FAILS(EFAULT, vm_gpa_read(ctx, not_ram[i].gpa, buf, not_ram[i].len));
	vm_close(ctx);
}

TEST(vm_gpa_write)
{
	struct vmctx *ctx = amd64();

	FAILS(EINVAL, vm_gpa_write(NULL, 0, "x", 1));
	FAILS(EINVAL, vm_gpa_write(ctx, 0, NULL, 1));
	for (size_t i = 0; i < sizeof(not_ram) / sizeof(not_ram[0]); i++)
		FAILS(EFAULT, vm_gpa_write(ctx, not_ram[i].gpa, "x", not_ram[i].len));
	vm_close(ctx);
}

TEST(vm_dirty_mark)
{
	struct vmctx *ctx = amd64();

	FAILS(EINVAL, vm_dirty_mark(NULL, 0, 1));
	FAILS(EFAULT, vm_dirty_mark(ctx, RAM, 1));
	FAILS(EFAULT, vm_dirty_mark(ctx, RAM - 4096, 8192));
	errno = 0;
	CHECK_EQ(vm_dirty_mark(ctx, UINT64_MAX, 2), -1);
	CHECK(errno == EFAULT || errno == EINVAL);
	vm_close(ctx);
}

TEST(vm_dirty_open)
{
	NULLS(EINVAL, vm_dirty_open(NULL));
}

TEST(vm_dirty_close)
{
	vm_dirty_close(NULL);
}

TEST(vm_dirty_fetch)
{
	struct vmctx *ctx = amd64();
	struct vm_dirty *d = vm_dirty_open(ctx);
	uint64_t bits[RAM / 4096 / 64];

	CHECK(d != NULL);
	FAILS(EINVAL, vm_dirty_fetch(NULL, 0, 4096, bits));
	FAILS(EINVAL, vm_dirty_fetch(d, 0, 4096, NULL));
	FAILS(EINVAL, vm_dirty_fetch(d, 1, 4096, bits));
	FAILS(EINVAL, vm_dirty_fetch(d, 0, 4095, bits));
	FAILS(EINVAL, vm_dirty_fetch(d, UINT64_MAX & ~0xfffULL, 8192, bits));
	/* where nothing is mapped nothing is dirty */
	memset(bits, 0xff, sizeof(bits));
	OK(vm_dirty_fetch(d, 1ULL << 33, 4096, bits));
	CHECK_EQ(bits[0] & 1, 0);
	vm_dirty_close(d);
	vm_close(ctx);
}

TEST(vm_dirty_merge)
{
	struct vmctx *ctx = amd64();
	struct vm_dirty *d = vm_dirty_open(ctx);
	uint64_t bits[1] = { 1 };

	CHECK(d != NULL);
	FAILS(EINVAL, vm_dirty_merge(NULL, 0, 4096, bits));
	FAILS(EINVAL, vm_dirty_merge(d, 0, 4096, NULL));
	FAILS(EINVAL, vm_dirty_merge(d, 1, 4096, bits));
	FAILS(EINVAL, vm_dirty_merge(d, 0, 1, bits));
	FAILS(EINVAL, vm_dirty_merge(d, UINT64_MAX & ~0xfffULL, 8192, bits));
	vm_dirty_close(d);
	vm_close(ctx);
}

/* SECTION: ranges */

TEST(vm_range_add)
{
	const struct vm_range_spec good = { .name = "r", .space = VM_SPACE_MEM, .base = 0xfe000000, .len = 4096 };
	struct vmctx *ctx = amd64(), *arm = arm64();
	struct vm_range_spec s = good;
	struct vm_range *range;

	NULLS(EINVAL, vm_range_add(NULL, &s));
	NULLS(EINVAL, vm_range_add(ctx, NULL));
	s.len = 0;
	NULLS(EINVAL, vm_range_add(ctx, &s));
	s.base = UINT64_MAX;
	s.len = 2;
	NULLS(EINVAL, vm_range_add(ctx, &s));
	s = good;
	s.space = (enum vm_space)7;
	NULLS(EINVAL, vm_range_add(ctx, &s));
	s.space = VM_SPACE_IO;
	NULLS(EINVAL, vm_range_add(ctx, &s));
	s.base = 0xffff;
	s.len = 2;
	NULLS(EINVAL, vm_range_add(ctx, &s));
	s.base = 0x80;
	NULLS(EINVAL, vm_range_add(arm, &s));		/* arm64 has no ports */
	s = good;
	range = vm_range_add(ctx, &s);
	CHECKF(range != NULL, "%s", vm_errmsg());
	s.base += 4095;
	NULLS(EEXIST, vm_range_add(ctx, &s));
	vm_range_remove(range);
	vm_close(ctx);
	vm_close(arm);
}

TEST(vm_range_remove)
{
	vm_range_remove(NULL);
}

TEST(vm_range_sync)
{
	FAILS(EINVAL, vm_range_sync(NULL));
	in_handler();
	CHECK_EQ(handler_sync, EDEADLK);
}

static struct vm_range_access watched;
static char watched_name[8];

static void
watch(void *arg, const struct vm_range_access *access)
{
	CHECK(arg == &watched);
	watched = *access;
	(void)snprintf(watched_name, sizeof(watched_name), "%s", access->name);
}

TEST(vm_range_watch)
{
	struct vm_range_spec rs = { .name = "r", .space = VM_SPACE_MEM, .base = 0xfe000000, .len = 4096 };
	struct vmctx *ctx = amd64();
	struct vm_range *range = vm_range_add(ctx, &rs);
	uint64_t val = 0x1ff, when = 9;

	FAILS(EINVAL, vm_range_watch(NULL, watch, &watched, NULL, 0));
	OK(vm_range_watch(ctx, watch, &watched, NULL, 0));
	OK(vm_access(ctx, VM_SPACE_MEM, 0xfe000010, 1, true, &val));
	CHECK(watched.write && watched.off == 0x10 && watched.size == 1 && watched.val == 0xff && watched.vcpu == NULL);
	CHECK_STR(watched_name, "r");
	OK(vm_access(ctx, VM_SPACE_MEM, 0xfe000020, 2, false, &val));
	CHECK(!watched.write && watched.off == 0x20 && watched.size == 2 && watched.val == 0xffff);
	OK(vm_range_watch(ctx, NULL, NULL, NULL, 0));
	OK(vm_access(ctx, VM_SPACE_MEM, 0xfe000030, 2, false, &val));
	CHECK_EQ(watched.off, 0x20);
	/* While one of the bits is set. */
	OK(vm_range_watch(ctx, watch, &watched, &when, 6));
	OK(vm_access(ctx, VM_SPACE_MEM, 0xfe000040, 2, false, &val));
	CHECK_EQ(watched.off, 0x20);
	OK(vm_start(ctx));
	when = 12;
	OK(vm_access(ctx, VM_SPACE_MEM, 0xfe000050, 2, false, &val));
	CHECK_EQ(watched.off, 0x50);
	FAILS(EBUSY, vm_range_watch(ctx, watch, &watched, NULL, 0));
	vm_range_remove(range);
	vm_close(ctx);
}

TEST(vm_access)
{
	struct vmctx *ctx = amd64(), *arm = arm64();
	uint64_t val = 0;

	FAILS(EINVAL, vm_access(NULL, VM_SPACE_MEM, 0, 4, false, &val));
	FAILS(EINVAL, vm_access(ctx, VM_SPACE_MEM, 0, 4, false, NULL));
	for (unsigned size = 0; size < 20; size++) {
		if (size != 1 && size != 2 && size != 4 && size != 8)
			FAILS(EINVAL, vm_access(ctx, VM_SPACE_MEM, 0, size, false, &val));
	}
	FAILS(EINVAL, vm_access(ctx, (enum vm_space)3, 0, 4, false, &val));
	FAILS(EINVAL, vm_access(ctx, VM_SPACE_IO, 0x10000, 1, false, &val));
	FAILS(EINVAL, vm_access(arm, VM_SPACE_IO, 0x80, 1, false, &val));
	FAILS(EFAULT, vm_access(ctx, VM_SPACE_MEM, 0xe0000000, 4, false, &val));
	CHECK_EQ(val, UINT32_MAX);
	FAILS(EFAULT, vm_access(ctx, VM_SPACE_MEM, NOWHERE, 8, false, &val));
	CHECK_EQ(val, UINT64_MAX);
	FAILS(EFAULT, vm_access(ctx, VM_SPACE_MEM, UINT64_MAX, 1, true, &val));
	FAILS(EFAULT, vm_access(ctx, VM_SPACE_IO, 0x1234, 2, false, &val));
	CHECK_EQ(val, UINT16_MAX);
	vm_close(ctx);
	vm_close(arm);
}

/* SECTION: vCPUs */

TEST(vm_vcpu_open)
{
	struct vmctx *ctx = amd64();

	NULLS(EINVAL, vm_vcpu_open(NULL, 0));
	NULLS(EINVAL, vm_vcpu_open(ctx, -1));
	NULLS(EINVAL, vm_vcpu_open(ctx, VM_MAXCPU));
	NULLS(EINVAL, vm_vcpu_open(ctx, INT32_MAX));
	CHECK(vm_vcpu_open(ctx, 0) != NULL);
	OK(vm_start(ctx));
	NULLS(EBUSY, vm_vcpu_open(ctx, 1));
	CHECK(vm_vcpu_open(ctx, 0) != NULL);
	vm_close(ctx);
}

TEST(vm_vcpu_close)
{
	vm_vcpu_close(NULL);
}

TEST(vcpu_id)
{
	FAILS(EINVAL, vcpu_id(NULL));
}

TEST(vm_vcpu_ctx)
{
	CHECK(vm_vcpu_ctx(NULL) == NULL);
}

TEST(vm_run)
{
	struct vm_exit exit;
	struct busy b;

	FAILS(EINVAL, vm_run(NULL, &exit));
	busy_start(&b);
	FAILS(EINVAL, vm_run(b.vcpu, NULL));
	FAILS(EBUSY, vm_run(b.vcpu, &exit));
	busy_end(&b);
}

TEST(vm_exit_reply)
{
	struct vmctx *ctx = amd64();

	FAILS(EINVAL, vm_exit_reply(NULL, 0));
	FAILS(EINVAL, vm_exit_reply(cpu(ctx), 0));
	vm_close(ctx);
}

TEST(vm_vcpu_kick)
{
	FAILS(EINVAL, vm_vcpu_kick(NULL));
}

TEST(vm_vcpu_reset)
{
	struct busy b;

	FAILS(EINVAL, vm_vcpu_reset(NULL));
	busy_start(&b);
	FAILS(EBUSY, vm_vcpu_reset(b.vcpu));
	busy_end(&b);
}

TEST(vcpu_reset)
{
	struct busy b;

	FAILS(EINVAL, vcpu_reset(NULL));
	busy_start(&b);
	FAILS(EBUSY, vcpu_reset(b.vcpu));
	busy_end(&b);
}

TEST(vm_restart_instruction)
{
	struct vmctx *ctx = amd64();
	struct busy b;

	FAILS(EINVAL, vm_restart_instruction(NULL));
	FAILS(EINVAL, vm_restart_instruction(cpu(ctx)));
	vm_close(ctx);
	busy_start(&b);
	FAILS(EBUSY, vm_restart_instruction(b.vcpu));
	busy_end(&b);
}

/* Numbers that name no register of this architecture: none, the other's, and the ends of the lists. */
static const int no_amd64_reg[] = { -1, 0, 1, 0xff, VM_AMD64_REG_LAST, VM_ARM64_REG_PC, 0x1ff, INT32_MAX, INT32_MIN };
static const int no_arm64_reg[] = { -1, 0, VM_AMD64_REG_RIP, 0x1ff, VM_ARM64_REG_LAST, 0x2ff, INT32_MAX };

TEST(vm_set_register)
{
	struct vmctx *ctx = amd64(), *arm = arm64();
	struct busy b;

	FAILS(EINVAL, vm_set_register(NULL, VM_AMD64_REG_RIP, 0));
	for (size_t i = 0; i < sizeof(no_amd64_reg) / sizeof(no_amd64_reg[0]); i++)
		FAILS(EINVAL, vm_set_register(cpu(ctx), no_amd64_reg[i], 0));
	for (size_t i = 0; i < sizeof(no_arm64_reg) / sizeof(no_arm64_reg[0]); i++)
		FAILS(EINVAL, vm_set_register(cpu(arm), no_arm64_reg[i], 0));
	FAILS(EINVAL, vm_set_register(cpu(ctx), VM_AMD64_REG_CS, 0x10000));
	FAILS(EINVAL, vm_set_register(cpu(ctx), VM_AMD64_REG_RUN_STATE, 99));
	FAILS(EINVAL, vm_set_register(cpu(arm), VM_ARM64_REG_RUN_STATE, 99));
	FAILS(EPERM, vm_set_register(cpu(arm), VM_ARM64_REG_MPIDR_EL1, 0));
	vm_close(ctx);
	vm_close(arm);
	busy_start(&b);
	FAILS(EBUSY, vm_set_register(b.vcpu, VM_AMD64_REG_RIP, 0));
	busy_end(&b);
}

TEST(vm_get_register)
{
	struct vmctx *ctx = amd64(), *arm = arm64();
	struct busy b;
	uint64_t val;

	FAILS(EINVAL, vm_get_register(NULL, VM_AMD64_REG_RIP, &val));
	FAILS(EINVAL, vm_get_register(cpu(ctx), VM_AMD64_REG_RIP, NULL));
	for (size_t i = 0; i < sizeof(no_amd64_reg) / sizeof(no_amd64_reg[0]); i++)
		FAILS(EINVAL, vm_get_register(cpu(ctx), no_amd64_reg[i], &val));
	for (size_t i = 0; i < sizeof(no_arm64_reg) / sizeof(no_arm64_reg[0]); i++)
		FAILS(EINVAL, vm_get_register(cpu(arm), no_arm64_reg[i], &val));
	vm_close(ctx);
	vm_close(arm);
	busy_start(&b);
	FAILS(EBUSY, vm_get_register(b.vcpu, VM_AMD64_REG_RIP, &val));
	busy_end(&b);
}

TEST(vm_set_register_set)
{
	const int regs[3] = { VM_AMD64_REG_RAX, 0, VM_AMD64_REG_RBX };
	const uint64_t vals[3] = { 11, 12, 13 };
	struct vmctx *ctx = amd64();
	uint64_t val;

	FAILS(EINVAL, vm_set_register_set(NULL, 1, regs, vals));
	FAILS(EINVAL, vm_set_register_set(cpu(ctx), 1, NULL, vals));
	FAILS(EINVAL, vm_set_register_set(cpu(ctx), 1, regs, NULL));
	FAILS(EINVAL, vm_set_register_set(cpu(ctx), 3, regs, vals));
	/* it stops at the one that is wrong */
	OK(vm_get_register(cpu(ctx), VM_AMD64_REG_RAX, &val));
	CHECK_EQ(val, 11);
	OK(vm_get_register(cpu(ctx), VM_AMD64_REG_RBX, &val));
	CHECK(val != 13);
	vm_close(ctx);
}

TEST(vm_get_register_set)
{
	const int regs[2] = { VM_AMD64_REG_RAX, 0 };
	struct vmctx *ctx = amd64();
	uint64_t vals[2];

	FAILS(EINVAL, vm_get_register_set(NULL, 1, regs, vals));
	FAILS(EINVAL, vm_get_register_set(cpu(ctx), 1, NULL, vals));
	FAILS(EINVAL, vm_get_register_set(cpu(ctx), 1, regs, NULL));
	FAILS(EINVAL, vm_get_register_set(cpu(ctx), 2, regs, vals));
	vm_close(ctx);
}

TEST(vm_register_name)
{
	struct vmctx *ctx = amd64();
	unsigned bits;

	CHECK(vm_register_name(NULL, VM_AMD64_REG_RIP, &bits) == NULL);
	for (size_t i = 0; i < sizeof(no_amd64_reg) / sizeof(no_amd64_reg[0]); i++)
		CHECK(vm_register_name(ctx, no_amd64_reg[i], &bits) == NULL);
	CHECK_STR(vm_register_name(ctx, VM_AMD64_REG_RIP, NULL), "rip");
	vm_close(ctx);
}

TEST(vm_sysreg_name)
{
	struct vmctx *ctx = amd64();

	CHECK(vm_sysreg_name(NULL, 0x10) == NULL);
	CHECK(vm_sysreg_name(ctx, 0x12345) == NULL);
	CHECK(vm_sysreg_name(ctx, 0x100000010) == NULL);
	CHECK_STR(vm_sysreg_name(ctx, 0x10), "IA32_TIME_STAMP_COUNTER");
	CHECK_STR(vm_sysreg_name(ctx, 0xc2), "IA32_PMCn");
	CHECK_STR(vm_sysreg_name(ctx, 0xc0010114), "AMD_VM_CR");
	vm_close(ctx);
}

TEST(vm_gva2gpa)
{
	struct vmctx *ctx = amd64();
	vm_paddr_t gpa;
	struct busy b;
	int fault;

	FAILS(EINVAL, vm_gva2gpa(NULL, 0, VM_PROT_READ, &gpa, &fault));
	FAILS(EINVAL, vm_gva2gpa(cpu(ctx), 0, VM_PROT_READ, NULL, &fault));
	FAILS(EINVAL, vm_gva2gpa(cpu(ctx), 0, VM_PROT_READ, &gpa, NULL));
	FAILS(EINVAL, vm_gva2gpa(cpu(ctx), 0, 0, &gpa, &fault));
	FAILS(EINVAL, vm_gva2gpa(cpu(ctx), 0, 0x80, &gpa, &fault));
	vm_close(ctx);
	busy_start(&b);
	FAILS(EBUSY, vm_gva2gpa(b.vcpu, 0, VM_PROT_READ, &gpa, &fault));
	busy_end(&b);
}

TEST(vm_vcpu_field_get)
{
	struct vmctx *ctx = amd64();
	uint8_t buf[8];
	struct busy b;

	FAILS(EINVAL, vm_vcpu_field_get(NULL, "fxsave", 0, buf, 8));
	FAILS(EINVAL, vm_vcpu_field_get(cpu(ctx), NULL, 0, buf, 8));
	FAILS(EINVAL, vm_vcpu_field_get(cpu(ctx), "fxsave", 0, NULL, 8));
	FAILS(EINVAL, vm_vcpu_field_get(cpu(ctx), "fxsafe", 0, buf, 8));
	FAILS(EINVAL, vm_vcpu_field_get(cpu(ctx), "fxsave", 505, buf, 8));
	FAILS(EINVAL, vm_vcpu_field_get(cpu(ctx), "fxsave", SIZE_MAX, buf, 8));
	/* What has fields of its own is none. */
	FAILS(EINVAL, vm_vcpu_field_get(cpu(ctx), "seg", 0, buf, 8));
	vm_close(ctx);
	busy_start(&b);
	FAILS(EBUSY, vm_vcpu_field_get(b.vcpu, "fxsave", 0, buf, 8));
	busy_end(&b);
}

TEST(vm_vcpu_field_set)
{
	static const uint8_t buf[1025] = { 0 };
	struct vmctx *ctx = amd64();
	struct busy b;

	FAILS(EINVAL, vm_vcpu_field_set(NULL, "fxsave", 0, buf, 8));
	FAILS(EINVAL, vm_vcpu_field_set(cpu(ctx), NULL, 0, buf, 8));
	FAILS(EINVAL, vm_vcpu_field_set(cpu(ctx), "fxsave", 0, NULL, 8));
	FAILS(EINVAL, vm_vcpu_field_set(cpu(ctx), "v", 0, buf, 8));
	FAILS(EINVAL, vm_vcpu_field_set(cpu(ctx), "fxsave", 505, buf, 8));
	FAILS(EINVAL, vm_vcpu_field_set(cpu(ctx), "fxsave", 0, buf, sizeof(buf)));
	vm_close(ctx);
	busy_start(&b);
	FAILS(EBUSY, vm_vcpu_field_set(b.vcpu, "fxsave", 0, buf, 8));
	busy_end(&b);
}

TEST(vm_debug_set)
{
	struct vm_debug_point p = { VM_DEBUG_EXEC, 0, 1 };
	struct vmctx *ctx = amd64();

	FAILS(EINVAL, vm_debug_set(NULL, &p, 1));
	FAILS(EINVAL, vm_debug_set(ctx, NULL, 1));
	FAILS(EINVAL, vm_debug_set(ctx, &p, 1));		/* has not started */
	OK(vm_start(ctx));
	FAILS(EBUSY, vm_debug_set(ctx, &p, 1));
	FAILS(ENOSPC, vm_debug_set(ctx, &p, VM_DEBUG_MAX + 1));
	OK(vm_pause(ctx));
	p.kind = (enum vm_debug_kind)-1;
	FAILS(EINVAL, vm_debug_set(ctx, &p, 1));
	p = (struct vm_debug_point){ VM_DEBUG_READ, UINT64_MAX, 2 };
	FAILS(EINVAL, vm_debug_set(ctx, &p, 1));
	vm_close(ctx);
}

TEST(vm_vcpu_hold)
{
	struct vmctx *ctx = amd64();

	FAILS(EINVAL, vm_vcpu_hold(NULL, true));
	FAILS(EBUSY, vm_vcpu_hold(cpu(ctx), true));
	vm_close(ctx);
}

TEST(vm_set_topology)
{
	struct vmctx *ctx = amd64();

	FAILS(EINVAL, vm_set_topology(NULL, 1, 1, 1, 0));
	FAILS(EINVAL, vm_set_topology(ctx, 0, 1, 1, 0));
	FAILS(EINVAL, vm_set_topology(ctx, 1, 0, 1, 0));
	FAILS(EINVAL, vm_set_topology(ctx, 1, 1, 0, 0));
	FAILS(EINVAL, vm_set_topology(ctx, 1, 1, 1, 1));
	FAILS(EINVAL, vm_set_topology(ctx, VM_MAXCPU + 1, 1, 1, 0));
	FAILS(EINVAL, vm_set_topology(ctx, UINT16_MAX, UINT16_MAX, UINT16_MAX, 0));
	vm_close(ctx);
}

TEST(vm_get_topology)
{
	struct vmctx *ctx = amd64();
	uint16_t s, c, t, m;

	FAILS(EINVAL, vm_get_topology(NULL, &s, &c, &t, &m));
	FAILS(EINVAL, vm_get_topology(ctx, NULL, &c, &t, &m));
	FAILS(EINVAL, vm_get_topology(ctx, &s, NULL, &t, &m));
	FAILS(EINVAL, vm_get_topology(ctx, &s, &c, NULL, &m));
	FAILS(EINVAL, vm_get_topology(ctx, &s, &c, &t, NULL));
	vm_close(ctx);
}

TEST(vm_get_stats)
{
	struct vmctx *ctx = amd64();
	int n;

	NULLS(EINVAL, vm_get_stats(NULL, &n));
	NULLS(EINVAL, vm_get_stats(cpu(ctx), NULL));
	vm_close(ctx);
}

TEST(vm_vcpu_describe)
{
	struct vmctx *ctx = amd64();
	struct busy b;
	char buf[512], little[24];

	FAILS(EINVAL, vm_vcpu_describe(NULL, buf, sizeof(buf)));
	FAILS(EINVAL, vm_vcpu_describe(cpu(ctx), NULL, sizeof(buf)));
	FAILS(EINVAL, vm_vcpu_describe(cpu(ctx), buf, 0));
	CHECK_EQ(vm_vcpu_describe(cpu(ctx), buf, sizeof(buf)), 0);
	CHECKF(strncmp(buf, "rip=0xfff0 cs=0xf000 ", 21) == 0 && strstr(buf, " efer=0x0") != NULL, "%s", buf);
	/* Whole registers, or none. */
	CHECK_EQ(vm_vcpu_describe(cpu(ctx), little, sizeof(little)), 0);
	CHECK_STR(little, "rip=0xfff0 cs=0xf000");
	vm_close(ctx);
	busy_start(&b);
	FAILS(EBUSY, vm_vcpu_describe(b.vcpu, buf, sizeof(buf)));
	busy_end(&b);
}

TEST(vm_get_stat_desc)
{
	struct vmctx *ctx = amd64();

	CHECK(vm_get_stat_desc(ctx, -1) == NULL);
	CHECK(vm_get_stat_desc(ctx, VM_STAT_LAST) == NULL);
	(void)vm_get_stat_desc(NULL, 0);
	vm_close(ctx);
}

/* SECTION: interrupts */

TEST(vm_irq_open_line)
{
	struct vmctx *ctx = amd64(), *arm = arm64();

	NULLS(EINVAL, vm_irq_open_line(NULL, 0));
	NULLS(EINVAL, vm_irq_open_line(ctx, 100000));
	NULLS(EINVAL, vm_irq_open_line(ctx, UINT32_MAX));
	NULLS(EINVAL, vm_irq_open_line(arm, 100000));
	vm_close(ctx);
	vm_close(arm);
}

TEST(vm_irq_open_msi)
{
	struct vmctx *ctx = amd64();

	NULLS(EINVAL, vm_irq_open_msi(NULL, 0));
	NULLS(EINVAL, vm_irq_open_msi(ctx, 0x10000));
	vm_close(ctx);
}

TEST(vm_irq_close)
{
	vm_irq_close(NULL);
}

TEST(vm_irq_assert)
{
	struct vmctx *ctx = amd64();
	struct vm_irq *irq = vm_irq_open_msi(ctx, 8);

	CHECK(irq != NULL);
	FAILS(EINVAL, vm_irq_assert(NULL));
	/* a message without an address goes nowhere, also when it was unmasked */
	OK(vm_start(ctx));
	OK(vm_irq_set_mask(irq, false));
	FAILS(EINVAL, vm_irq_assert(irq));
	OK(vm_irq_set_msi(irq, 0xdead0000, 1));
	FAILS(EINVAL, vm_irq_assert(irq));
	vm_irq_close(irq);
	vm_close(ctx);
}

TEST(vm_irq_deassert)
{
	FAILS(EINVAL, vm_irq_deassert(NULL));
}

TEST(vm_irq_pulse)
{
	FAILS(EINVAL, vm_irq_pulse(NULL));
}

TEST(vm_irq_set_msi)
{
	struct vmctx *ctx = amd64();
	struct vm_irq *line = vm_irq_open_line(ctx, 4);

	CHECK(line != NULL);
	FAILS(EINVAL, vm_irq_set_msi(NULL, 0, 0));
	FAILS(EINVAL, vm_irq_set_msi(line, 0xfee00000, 0x20));
	vm_irq_close(line);
	vm_close(ctx);
}

TEST(vm_irq_set_mask)
{
	FAILS(EINVAL, vm_irq_set_mask(NULL, true));
}

TEST(vm_irq_set_pending)
{
	struct vmctx *ctx = amd64();
	struct vm_irq *line = vm_irq_open_line(ctx, 4);

	CHECK(line != NULL);
	FAILS(EINVAL, vm_irq_set_pending(NULL, true));
	FAILS(EINVAL, vm_irq_set_pending(line, true));
	vm_irq_close(line);
	vm_close(ctx);
}

TEST(vm_irq_get_info)
{
	struct vmctx *ctx = amd64();
	struct vm_irq *line = vm_irq_open_line(ctx, 4);
	struct vm_irq_info info;

	CHECK(line != NULL);
	FAILS(EINVAL, vm_irq_get_info(NULL, &info));
	FAILS(EINVAL, vm_irq_get_info(line, NULL));
	vm_irq_close(line);
	vm_close(ctx);
}

TEST(vm_irq_bind)
{
	struct vmctx *ctx = amd64();
	struct vm_irq *line = vm_irq_open_line(ctx, 4), *msi = vm_irq_open_msi(ctx, 8);
	int fd = eventfd(0, EFD_NONBLOCK), closed = dup(fd);

	CHECK(line != NULL && msi != NULL && fd >= 0 && closed >= 0);
	close(closed);
	FAILS(EINVAL, vm_irq_bind(NULL, fd, -1));
	FAILS(EBADF, vm_irq_bind(line, closed, -1));
	FAILS(EBADF, vm_irq_bind(line, fd, closed));
	FAILS(EBADF, vm_irq_bind(line, 99999, -1));
	FAILS(EINVAL, vm_irq_bind(msi, fd, fd));
	vm_irq_close(line);
	vm_irq_close(msi);
	vm_close(ctx);
	close(fd);
}

TEST(vm_irq_on_eoi)
{
	struct vmctx *ctx = amd64();
	struct vm_irq *msi = vm_irq_open_msi(ctx, 8);

	CHECK(msi != NULL);
	FAILS(EINVAL, vm_irq_on_eoi(NULL, (void (*)(void *))free, NULL));
	FAILS(EINVAL, vm_irq_on_eoi(msi, (void (*)(void *))free, NULL));
	vm_irq_close(msi);
	vm_close(ctx);
}

TEST(vm_irq_hold)
{
	FAILS(EINVAL, vm_irq_hold(NULL));
}

TEST(vm_irq_release)
{
	struct vmctx *ctx = amd64();

	FAILS(EINVAL, vm_irq_release(NULL));
	FAILS(EINVAL, vm_irq_release(ctx));
	OK(vm_irq_hold(ctx));
	OK(vm_irq_release(ctx));
	FAILS(EINVAL, vm_irq_release(ctx));
	vm_close(ctx);
}

TEST(vm_raise_msi)
{
	struct vmctx *ctx = amd64();

	FAILS(EINVAL, vm_raise_msi(NULL, 0xfee00000, 0x20, 0, 0, 0));
	OK(vm_start(ctx));
	FAILS(EINVAL, vm_raise_msi(ctx, 0xfee00000, 0x20, 256, 0, 0));
	FAILS(EINVAL, vm_raise_msi(ctx, 0xfee00000, 0x20, 0, 32, 0));
	FAILS(EINVAL, vm_raise_msi(ctx, 0xfee00000, 0x20, 0, 0, 8));
	FAILS(EINVAL, vm_raise_msi(ctx, 0xfee00000, 0x20, -1, 0, 0));
	FAILS(EINVAL, vm_raise_msi(ctx, 0xfee00000, 1ULL << 32, 0, 0, 0));
	FAILS(EINVAL, vm_raise_msi(ctx, 0x1000, 0x20, 0, 0, 0));
	FAILS(EINVAL, vm_raise_msi(ctx, UINT64_MAX, 0x20, 0, 0, 0));
	vm_close(ctx);
}

TEST(vm_doorbell_open)
{
	int fd = eventfd(0, EFD_NONBLOCK), closed = dup(fd);
	const struct vm_doorbell_spec good = { .space = VM_SPACE_MEM, .addr = 0xfe000000, .size = 4, .fd = fd };
	struct vmctx *ctx = amd64(), *arm = arm64();
	struct vm_doorbell_spec s = good;
	struct vm_doorbell *db;

	CHECK(fd >= 0 && closed >= 0);
	close(closed);
	NULLS(EINVAL, vm_doorbell_open(NULL, &s));
	NULLS(EINVAL, vm_doorbell_open(ctx, NULL));
	s.size = 3;
	NULLS(EINVAL, vm_doorbell_open(ctx, &s));
	s.size = 16;
	NULLS(EINVAL, vm_doorbell_open(ctx, &s));
	s = good;
	s.size = 0;
	s.match = true;
	NULLS(EINVAL, vm_doorbell_open(ctx, &s));
	s = good;
	s.space = (enum vm_space)9;
	NULLS(EINVAL, vm_doorbell_open(ctx, &s));
	s.space = VM_SPACE_IO;
	NULLS(EINVAL, vm_doorbell_open(ctx, &s));
	s.addr = 0x80;
	NULLS(EINVAL, vm_doorbell_open(arm, &s));
	s = good;
	s.fd = closed;
	NULLS(EBADF, vm_doorbell_open(ctx, &s));
	s.fd = -1;
	NULLS(EBADF, vm_doorbell_open(ctx, &s));
	s = good;
	db = vm_doorbell_open(ctx, &s);
	CHECKF(db != NULL, "%s", vm_errmsg());
	NULLS(EEXIST, vm_doorbell_open(ctx, &s));
	vm_doorbell_close(db);
	vm_close(ctx);
	vm_close(arm);
	close(fd);
}

TEST(vm_doorbell_close)
{
	vm_doorbell_close(NULL);
}

/* SECTION: clock, timers, capabilities */

TEST(vm_clock_now)
{
	CHECK_EQ(vm_clock_now(NULL), 0);
}

TEST(vm_clock_set)
{
	FAILS(EINVAL, vm_clock_set(NULL, 0));
}

TEST(vm_get_counter_freq)
{
	CHECK_EQ(vm_get_counter_freq(NULL), 0);
}

TEST(vm_set_counter_freq)
{
	struct vmctx *ctx = amd64();

	FAILS(EINVAL, vm_set_counter_freq(NULL, 1000000000));
	FAILS(EINVAL, vm_set_counter_freq(ctx, 0));
	FAILS(EINVAL, vm_set_counter_freq(ctx, 999999));
	FAILS(EINVAL, vm_set_counter_freq(ctx, 10000000001ULL));
	FAILS(EINVAL, vm_set_counter_freq(ctx, UINT64_MAX));
	OK(vm_start(ctx));
	FAILS(EBUSY, vm_set_counter_freq(ctx, 1000000000));
	vm_close(ctx);
}

TEST(vm_timer_open)
{
	struct vmctx *ctx = amd64();

	NULLS(EINVAL, vm_timer_open(NULL, 1000, (void (*)(void *))free, NULL));
	NULLS(EINVAL, vm_timer_open(ctx, 0, (void (*)(void *))free, NULL));
	NULLS(EINVAL, vm_timer_open(ctx, 10000000001ULL, (void (*)(void *))free, NULL));
	NULLS(EINVAL, vm_timer_open(ctx, 1000, NULL, NULL));
	vm_close(ctx);
}

TEST(vm_timer_close)
{
	vm_timer_close(NULL);
}

TEST(vm_timer_count)
{
	CHECK_EQ(vm_timer_count(NULL), 0);
}

TEST(vm_timer_set_count)
{
	FAILS(EINVAL, vm_timer_set_count(NULL, 0));
}

TEST(vm_timer_arm)
{
	FAILS(EINVAL, vm_timer_arm(NULL, 0));
}

TEST(vm_timer_disarm)
{
	FAILS(EINVAL, vm_timer_disarm(NULL));
}

TEST(vm_timer_armed)
{
	uint64_t deadline;

	CHECK(!vm_timer_armed(NULL, &deadline));
	CHECK(!vm_timer_armed(NULL, NULL));
}

TEST(vm_get_capability)
{
	struct vmctx *ctx = amd64(), *arm = arm64();
	int val;

	FAILS(EINVAL, vm_get_capability(NULL, VM_CAP_HALT_EXIT, &val));
	FAILS(EINVAL, vm_get_capability(cpu(ctx), VM_CAP_HALT_EXIT, NULL));
	FAILS(EINVAL, vm_get_capability(cpu(ctx), VM_CAP_MAX, &val));
	FAILS(EINVAL, vm_get_capability(cpu(ctx), (enum vm_cap_type)-1, &val));
	FAILS(EINVAL, vm_get_capability(cpu(ctx), (enum vm_cap_type)(VM_CAP_MAX - 1), &val));
	FAILS(ENOTSUP, vm_get_capability(cpu(arm), (enum vm_cap_type)VM_AMD64_CAP_RDPID, &val));
	vm_close(ctx);
	vm_close(arm);
}

TEST(vm_set_capability)
{
	struct vmctx *ctx = amd64(), *arm = arm64();
	struct busy b;

	FAILS(EINVAL, vm_set_capability(NULL, VM_CAP_HALT_EXIT, 1));
	FAILS(EINVAL, vm_set_capability(cpu(ctx), VM_CAP_MAX, 1));
	FAILS(EINVAL, vm_set_capability(cpu(ctx), (enum vm_cap_type)-1, 1));
	FAILS(EINVAL, vm_set_capability(cpu(ctx), VM_CAP_HALT_EXIT, 2));
	FAILS(EINVAL, vm_set_capability(cpu(ctx), VM_CAP_HALT_EXIT, -1));
	FAILS(ENOTSUP, vm_set_capability(cpu(arm), (enum vm_cap_type)VM_AMD64_CAP_RDPID, 1));
	vm_close(ctx);
	vm_close(arm);
	busy_start(&b);
	FAILS(EBUSY, vm_set_capability(b.vcpu, VM_CAP_HALT_EXIT, 1));
	busy_end(&b);
}

TEST(vm_capability_name2type)
{
	CHECK_EQ(vm_capability_name2type(NULL), -1);
	CHECK_EQ(vm_capability_name2type(""), -1);
	CHECK_EQ(vm_capability_name2type("no such thing"), -1);
}

TEST(vm_capability_type2name)
{
	CHECK(vm_capability_type2name(-1) == NULL);
	CHECK(vm_capability_type2name(VM_CAP_MAX) == NULL);
	CHECK(vm_capability_type2name(VM_CAP_MAX - 1) == NULL);
}

/* SECTION: passthrough, which this back end cannot offer; others: vfio.c */

#define	PPT(fn, ...)								\
TEST(fn)									\
{										\
	struct vmctx *ctx = amd64();						\
										\
	FAILS(EINVAL, fn(NULL, 0, 0, 0 __VA_ARGS__));				\
	FAILS(EINVAL, fn(ctx, -1, 0, 0 __VA_ARGS__));				\
	FAILS(EINVAL, fn(ctx, 0, 32, 0 __VA_ARGS__));				\
	FAILS(EINVAL, fn(ctx, 0, 0, 8 __VA_ARGS__));				\
	FAILS(ENOTSUP, fn(ctx, 1, 2, 3 __VA_ARGS__));				\
	vm_close(ctx);								\
}
#define	COMMA	,
PPT(vm_assign_pptdev)
PPT(vm_unassign_pptdev)
PPT(vm_map_pptdev_mmio, COMMA 0xe0000000 COMMA 4096 COMMA 0xf0000000)
PPT(vm_unmap_pptdev_mmio, COMMA 0xe0000000 COMMA 4096)
PPT(vm_setup_pptdev_msi, COMMA 0xfee00000 COMMA 0x20 COMMA 1)
PPT(vm_setup_pptdev_msix, COMMA 0 COMMA 0xfee00000 COMMA 0x20 COMMA 0)
PPT(vm_disable_pptdev_msix)
PPT(vm_reset_pptdev)
PPT(vm_pptdev_get_info, COMMA &(struct vm_pptdev_info){ 0 })
PPT(vm_pptdev_cfg_read, COMMA 0 COMMA 4 COMMA &(uint32_t){ 0 })
PPT(vm_pptdev_cfg_write, COMMA 4 COMMA 2 COMMA 0)
PPT(vm_pptdev_bar_read, COMMA 0 COMMA 0 COMMA 8 COMMA &(uint64_t){ 0 })
PPT(vm_pptdev_bar_write, COMMA 0 COMMA 0 COMMA 8 COMMA 0)
PPT(vm_pptdev_set_pin, COMMA NULL COMMA NULL)
PPT(vm_pptdev_unmask_pin)
PPT(vm_pptdev_set_requester, COMMA 0)
PPT(vm_pptdev_get_pending, COMMA 0)
PPT(vm_pptdev_set_notice, COMMA NULL COMMA NULL)

/* SECTION: amd64 */

TEST(vm_set_desc)
{
	struct vmctx *ctx = amd64(), *arm = arm64();
	struct busy b;

	FAILS(EINVAL, vm_set_desc(NULL, VM_AMD64_REG_CS, 0, 0, 0));
	FAILS(EINVAL, vm_set_desc(cpu(arm), VM_AMD64_REG_CS, 0, 0, 0x9b));
	FAILS(EINVAL, vm_set_desc(cpu(ctx), VM_AMD64_REG_RAX, 0, 0, 0));
	FAILS(EINVAL, vm_set_desc(cpu(ctx), VM_AMD64_REG_FS_BASE, 0, 0, 0));
	FAILS(EINVAL, vm_set_desc(cpu(ctx), -1, 0, 0, 0));
	vm_close(ctx);
	vm_close(arm);
	busy_start(&b);
	FAILS(EBUSY, vm_set_desc(b.vcpu, VM_AMD64_REG_CS, 0, 0xffffffff, 0xc09b));
	busy_end(&b);
}

TEST(vm_get_desc)
{
	struct vmctx *ctx = amd64(), *arm = arm64();
	uint32_t limit, access;
	uint64_t base;
	struct busy b;

	FAILS(EINVAL, vm_get_desc(NULL, VM_AMD64_REG_CS, &base, &limit, &access));
	FAILS(EINVAL, vm_get_desc(cpu(ctx), VM_AMD64_REG_CS, NULL, &limit, &access));
	FAILS(EINVAL, vm_get_desc(cpu(ctx), VM_AMD64_REG_CS, &base, NULL, &access));
	FAILS(EINVAL, vm_get_desc(cpu(ctx), VM_AMD64_REG_CS, &base, &limit, NULL));
	FAILS(EINVAL, vm_get_desc(cpu(ctx), VM_AMD64_REG_RIP, &base, &limit, &access));
	FAILS(EINVAL, vm_get_desc(cpu(arm), VM_AMD64_REG_CS, &base, &limit, &access));
	vm_close(ctx);
	vm_close(arm);
	busy_start(&b);
	FAILS(EBUSY, vm_get_desc(b.vcpu, VM_AMD64_REG_CS, &base, &limit, &access));
	busy_end(&b);
}

TEST(vm_setup_freebsd_registers)
{
	struct vmctx *arm = arm64();
	struct busy b;

	FAILS(EINVAL, vm_setup_freebsd_registers(NULL, 0, 0, 0, 0));
	FAILS(EINVAL, vm_setup_freebsd_registers(cpu(arm), 0, 0, 0, 0));
	vm_close(arm);
	busy_start(&b);
	FAILS(EBUSY, vm_setup_freebsd_registers(b.vcpu, 0x1000, 0x2000, 0x800, 0x3000));
	busy_end(&b);
}

TEST(vm_setup_freebsd_registers_i386)
{
	struct vmctx *ctx = amd64(), *arm = arm64();

	FAILS(EINVAL, vm_setup_freebsd_registers_i386(NULL, 0, 0, 0));
	FAILS(EINVAL, vm_setup_freebsd_registers_i386(cpu(arm), 0, 0, 0));
	FAILS(EFAULT, vm_setup_freebsd_registers_i386(cpu(ctx), 0, RAM, 0));
	FAILS(EFAULT, vm_setup_freebsd_registers_i386(cpu(ctx), 0, UINT32_MAX, 0));
	vm_close(ctx);
	vm_close(arm);
}

TEST(vm_setup_freebsd_gdt)
{
	vm_setup_freebsd_gdt(NULL);
}

TEST(vm_amd64_inject_exception)
{
	struct vmctx *ctx = amd64(), *arm = arm64();
	struct busy b;

	FAILS(EINVAL, vm_amd64_inject_exception(NULL, 13, 1, 0, 0));
	FAILS(EINVAL, vm_amd64_inject_exception(cpu(arm), 13, 1, 0, 0));
	FAILS(EINVAL, vm_amd64_inject_exception(cpu(ctx), -1, 0, 0, 0));
	FAILS(EINVAL, vm_amd64_inject_exception(cpu(ctx), 32, 0, 0, 0));
	OK(vm_amd64_inject_exception(cpu(ctx), 13, 1, 0, 0));
	FAILS(EBUSY, vm_amd64_inject_exception(cpu(ctx), 13, 1, 0, 0));
	vm_close(ctx);
	vm_close(arm);
	busy_start(&b);
	FAILS(EBUSY, vm_amd64_inject_exception(b.vcpu, 13, 1, 0, 0));
	busy_end(&b);
}

TEST(vm_amd64_set_a20)
{
	struct vmctx *arm = arm64();

	FAILS(EINVAL, vm_amd64_set_a20(NULL, true));
	FAILS(EINVAL, vm_amd64_set_a20(arm, true));
	vm_close(arm);
}

TEST(vm_amd64_get_a20)
{
	struct vmctx *ctx = amd64(), *arm = arm64();
	bool on;

	FAILS(EINVAL, vm_amd64_get_a20(NULL, &on));
	FAILS(EINVAL, vm_amd64_get_a20(arm, &on));
	FAILS(EINVAL, vm_amd64_get_a20(ctx, NULL));
	vm_close(arm);
	vm_close(ctx);
}

TEST(vm_amd64_inject_nmi)
{
	struct vmctx *arm = arm64();

	FAILS(EINVAL, vm_amd64_inject_nmi(NULL));
	FAILS(EINVAL, vm_amd64_inject_nmi(cpu(arm)));
	vm_close(arm);
}

TEST(vm_lapic_msi)
{
	struct vmctx *ctx = amd64(), *arm = arm64();

	FAILS(EINVAL, vm_lapic_msi(NULL, 0xfee00000, 0x20));
	FAILS(EINVAL, vm_lapic_msi(arm, 0xfee00000, 0x20));
	OK(vm_start(ctx));
	FAILS(EINVAL, vm_lapic_msi(ctx, 0x1234, 0x20));
	vm_close(ctx);
	vm_close(arm);
}

TEST(vm_lapic_irq)
{
	struct vmctx *ctx = amd64(), *arm = arm64();

	FAILS(EINVAL, vm_lapic_irq(NULL, 0x20));
	FAILS(EINVAL, vm_lapic_irq(cpu(arm), 0x20));
	FAILS(EINVAL, vm_lapic_irq(cpu(ctx), 15));
	FAILS(EINVAL, vm_lapic_irq(cpu(ctx), 256));
	FAILS(EINVAL, vm_lapic_irq(cpu(ctx), -1));
	vm_close(ctx);
	vm_close(arm);
}

#define	IOAPIC(fn)								\
TEST(fn)									\
{										\
	struct vmctx *ctx = amd64(), *arm = arm64();				\
										\
	FAILS(EINVAL, fn(NULL, 4));						\
	FAILS(EINVAL, fn(arm, 4));						\
	FAILS(EINVAL, fn(ctx, -1));						\
	FAILS(EINVAL, fn(ctx, 1000));						\
	vm_close(ctx);								\
	vm_close(arm);								\
}
IOAPIC(vm_ioapic_assert_irq)
IOAPIC(vm_ioapic_deassert_irq)
IOAPIC(vm_ioapic_pulse_irq)

TEST(vm_ioapic_pincount)
{
	struct vmctx *ctx = amd64(), *arm = arm64();
	int n;

	FAILS(EINVAL, vm_ioapic_pincount(NULL, &n));
	FAILS(EINVAL, vm_ioapic_pincount(arm, &n));
	FAILS(EINVAL, vm_ioapic_pincount(ctx, NULL));
	vm_close(ctx);
	vm_close(arm);
}

#define	ISA(fn)									\
TEST(fn)									\
{										\
	struct vmctx *ctx = amd64(), *arm = arm64();				\
										\
	FAILS(EINVAL, fn(NULL, 4, 4));						\
	FAILS(EINVAL, fn(arm, 4, 4));						\
	FAILS(EINVAL, fn(ctx, -1, 4));						\
	FAILS(EINVAL, fn(ctx, 16, 4));						\
	FAILS(EINVAL, fn(ctx, 4, 1000));					\
	vm_close(ctx);								\
	vm_close(arm);								\
}
ISA(vm_isa_assert_irq)
ISA(vm_isa_deassert_irq)
ISA(vm_isa_pulse_irq)

TEST(vm_apicid2vcpu)
{
	struct vmctx *arm = arm64();

	FAILS(EINVAL, vm_apicid2vcpu(NULL, 0));
	FAILS(EINVAL, vm_apicid2vcpu(arm, 0));
	vm_close(arm);
}

TEST(vm_amd64_i8254_open)
{
	struct vmctx *ctx = amd64(), *arm = arm64();
	struct vm_i8254 *pit;

	NULLS(EINVAL, vm_amd64_i8254_open(NULL));
	NULLS(EINVAL, vm_amd64_i8254_open(arm));
	pit = vm_amd64_i8254_open(ctx);
	CHECKF(pit != NULL, "%s", vm_errmsg());
	NULLS(EEXIST, vm_amd64_i8254_open(ctx));
	vm_amd64_i8254_close(pit);
	vm_close(ctx);
	vm_close(arm);
}

TEST(vm_amd64_i8254_close)
{
	vm_amd64_i8254_close(NULL);
}

TEST(vm_amd64_i8254_reset)
{
	vm_amd64_i8254_reset(NULL);
}

TEST(vm_amd64_i8254_set_mask)
{
	vm_amd64_i8254_set_mask(NULL, true);
	vm_amd64_i8254_set_mask(NULL, false);
}

TEST(vm_amd64_i8254_state)
{
	CHECK(vm_amd64_i8254_state() != NULL);
}

TEST(vm_amd64_i8254_loaded)
{
	vm_amd64_i8254_loaded(NULL);
}

/* SECTION: arm64 */

#define	SPI(fn)									\
TEST(fn)									\
{										\
	struct vmctx *ctx = amd64(), *arm = arm64();				\
										\
	FAILS(EINVAL, fn(NULL, 33));						\
	FAILS(EINVAL, fn(ctx, 33));						\
	FAILS(EINVAL, fn(arm, 31));						\
	FAILS(EINVAL, fn(arm, 1020));						\
	FAILS(EINVAL, fn(arm, UINT32_MAX));					\
	vm_close(ctx);								\
	vm_close(arm);								\
}
SPI(vm_assert_irq)
SPI(vm_deassert_irq)

TEST(vm_attach_vgic)
{
	struct vmctx *ctx = amd64(), *arm = arm64();

	FAILS(EINVAL, vm_attach_vgic(NULL, 0x8000000, 0x10000, 0x8100000, 0x200000));
	FAILS(EINVAL, vm_attach_vgic(ctx, 0x8000000, 0x10000, 0x8100000, 0x200000));
	CHECK(cpu(arm) != NULL && vm_vcpu_open(arm, 1) != NULL);
	FAILS(EINVAL, vm_attach_vgic(arm, 0x8000001, 0x10000, 0x8100000, 0x200000));
	FAILS(EINVAL, vm_attach_vgic(arm, 0x8000000, 0x1000, 0x8100000, 0x200000));
	FAILS(EINVAL, vm_attach_vgic(arm, 0x8000000, 0x10000, 0x8100000, 0x10000));
	FAILS(EINVAL, vm_attach_vgic(arm, 0x8000000, 0x10000, 0x8000000, 0x200000));
	FAILS(EINVAL, vm_attach_vgic(arm, NOWHERE, 0x10000, 0x8100000, 0x200000));
	OK(vm_attach_vgic(arm, 0x8000000, 0x10000, 0x8100000, 0x200000));
	OK(vm_start(arm));
	FAILS(EBUSY, vm_attach_vgic(arm, 0x8000000, 0x10000, 0x8100000, 0x200000));
	vm_close(ctx);
	vm_close(arm);
}

TEST(vm_attach_its)
{
	struct vmctx *ctx = amd64(), *arm = arm64();

	FAILS(EINVAL, vm_attach_its(NULL, 0x8080000));
	FAILS(EINVAL, vm_attach_its(ctx, 0x8080000));
	CHECK(cpu(arm) != NULL);
	FAILS(EINVAL, vm_attach_its(arm, 0));
	FAILS(EINVAL, vm_attach_its(arm, 0x8080001));
	FAILS(EINVAL, vm_attach_its(arm, 0x8000000));
	FAILS(EINVAL, vm_attach_its(arm, 0x8090000));
	FAILS(EINVAL, vm_attach_its(arm, NOWHERE & ~0xffffULL));
	OK(vm_attach_its(arm, 0x8080000));
	OK(vm_start(arm));
	FAILS(EBUSY, vm_attach_its(arm, 0x8080000));
	vm_close(ctx);
	vm_close(arm);
}

TEST(vm_arm64_get_gic)
{
	struct vmctx *ctx = amd64(), *arm = arm64();
	struct vm_arm64_gic gic;

	FAILS(EINVAL, vm_arm64_get_gic(NULL, &gic));
	FAILS(EINVAL, vm_arm64_get_gic(ctx, &gic));
	FAILS(EINVAL, vm_arm64_get_gic(arm, NULL));
	OK(vm_arm64_get_gic(arm, &gic));
	vm_close(ctx);
	vm_close(arm);
}

TEST(vm_arm64_inject_exception)
{
	struct vmctx *ctx = amd64(), *arm = arm64();

	FAILS(EINVAL, vm_arm64_inject_exception(NULL, 0x92000000, 0));
	FAILS(EINVAL, vm_arm64_inject_exception(cpu(ctx), 0x92000000, 0));
	FAILS(EINVAL, vm_arm64_inject_exception(cpu(arm), 1ULL << 40, 0));
	OK(vm_arm64_inject_exception(cpu(arm), 0x92000000, 0));
	FAILS(EBUSY, vm_arm64_inject_exception(cpu(arm), 0x92000000, 0));
	vm_close(ctx);
	vm_close(arm);
}

/* SECTION: state */

TEST(vm_state_save)
{
	struct vm_state_out *out = vm_state_out_open();
	struct vmctx *ctx = amd64();
	struct busy b;
	size_t len;

	CHECK(out != NULL);
	FAILS(EINVAL, vm_state_save(NULL, out));
	FAILS(EINVAL, vm_state_save(ctx, NULL));
	busy_start(&b);
	FAILS(EBUSY, vm_state_save(b.ctx, out));
	/* that wrote nothing: the stream is as good as new */
	CHECK(vm_state_out_data(out, &len) != NULL);
	OK(vm_state_save(ctx, out));
	/* twice into one stream */
	FAILS(EEXIST, vm_state_save(ctx, out));
	vm_state_out_close(out);
	busy_end(&b);
	vm_close(ctx);
}

TEST(vm_state_load)
{
	struct vm_state_out *out = vm_state_out_open();
	struct vmctx *ctx = amd64(), *arm = arm64(), *larger;
	struct vm_spec spec = { .size = sizeof(spec), .accel = VM_ACCEL_SOFT };
	struct vm_state_in *in;
	const void *data;
	struct busy b;
	size_t len;

	CHECK(out != NULL && cpu(ctx) != NULL);
	OK(vm_state_save(ctx, out));
	data = vm_state_out_data(out, &len);
	CHECK(data != NULL);
#define	AGAIN()	do {								\
	in = vm_state_in_open(data, len);					\
	CHECK(in != NULL);							\
} while (0)
	AGAIN();
	FAILS(EINVAL, vm_state_load(NULL, in));
	FAILS(EINVAL, vm_state_load(ctx, NULL));
	FAILS(EILSEQ, vm_state_load(arm, in));
	CHECK_HAS(vm_errmsg(), "arm64");
	vm_state_in_close(in);
	busy_start(&b);
	AGAIN();
	FAILS(EBUSY, vm_state_load(b.ctx, in));
	vm_state_in_close(in);
	busy_end(&b);
	/* another amount of memory, no vCPU, and one too many */
	larger = vm_new(&spec);
	CHECK(larger != NULL);
	OK(vm_setup_memory(larger, 2 * RAM, VM_MMAP_ALL));
	CHECK(cpu(larger) != NULL);
	AGAIN();
	FAILS(EILSEQ, vm_state_load(larger, in));
	CHECK_HAS(vm_errmsg(), "segment 0");
	vm_state_in_close(in);
	vm_close(larger);
	larger = amd64();
	AGAIN();
	FAILS(EILSEQ, vm_state_load(larger, in));
	CHECK_HAS(vm_errmsg(), "vcpu 0");
	vm_state_in_close(in);
	CHECK(cpu(larger) != NULL && vm_vcpu_open(larger, 3) != NULL);
	AGAIN();
	FAILS(EILSEQ, vm_state_load(larger, in));
	CHECK_HAS(vm_errmsg(), "vcpu 3");
	vm_state_in_close(in);
	vm_close(larger);
	AGAIN();
	OK(vm_state_load(ctx, in));
	OK(vm_state_in_done(in));
	FAILS(EALREADY, vm_state_load(ctx, in));
	vm_state_in_close(in);
	vm_state_out_close(out);
	vm_close(ctx);
	vm_close(arm);
}

/* SECTION: was any forgotten? */

/* Functions of streams, which state.c misuses; and those that cannot fail and take nothing. */
static const char *const elsewhere[] = {
	"vm_state_out_open", "vm_state_put", "vm_state_out_data", "vm_state_out_close", "vm_state_in_open", "vm_state_get",
	"vm_state_has", "vm_state_in_done", "vm_state_in_close", "vm_state_complain",
};

TEST(every_function_is_here)
{
	unsigned n = 0;

	read_library();
	for (size_t i = 0; i < nsymbols; i++) {
		bool found = false;

		for (struct test_case *tc = test_first_; tc != NULL; tc = tc->next)
			found |= strcmp(tc->name, symbols[i].name) == 0;
		for (size_t j = 0; j < sizeof(elsewhere) / sizeof(elsewhere[0]); j++)
			found |= strcmp(elsewhere[j], symbols[i].name) == 0;
		CHECKF(found, "nobody misuses %s()", symbols[i].name);
		n++;
	}
	CHECK(n > 100);
	free(symbols);
}
