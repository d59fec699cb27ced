/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * memory.c - guest memory as programs see it: where RAM is for which size, what vm_map_gpa() gives,
 * segments and mappings, and what a guest's access finds.
 */
#include <sys/mman.h>

#include <pthread.h>
#include <stdatomic.h>

#include <vmmapi.h>
#include <vmmapi/amd64.h>

#include "test.h"

TEST_MAIN()

#define	KB		(1ULL << 10)
#define	MB		(1ULL << 20)
#define	GB		(1ULL << 30)
#define	OK(call)	CHECKF((call) == 0, "%s: %s", #call, vm_errmsg())

static struct vmctx *
make(enum vm_arch arch, size_t ram, uint32_t flags)
{
	struct vm_spec spec = { .size = sizeof(spec), .arch = arch, .accel = VM_ACCEL_SOFT, .flags = flags };
	struct vmctx *ctx = vm_new(&spec);

	CHECKF(ctx != NULL, "%s", vm_errmsg());
	if (ram != 0)
		OK(vm_setup_memory(ctx, ram, VM_MMAP_ALL));
	return (ctx);
}

/* SECTION: sizes and layouts */

TEST(sizes_as_people_write_them)
{
	static const struct { const char *text; size_t size; } sizes[] = {
		{ "1", MB }, { "256", 256 * MB }, { "0", 0 }, { "1048575", 1048575 * MB }, { "1048576", MB },
		{ "2097152", 2 * MB }, { "64K", 64 * KB }, { "64k", 64 * KB }, { "512M", 512 * MB }, { "512m", 512 * MB },
		{ "2G", 2 * GB }, { "2g", 2 * GB }, { "1T", 1024 * GB }, { "1t", 1024 * GB },
	};
	size_t size;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size = 4711;
		CHECKF(vm_parse_memsize(sizes[i].text, &size) == 0, "'%s': %s", sizes[i].text, vm_errmsg());
		CHECKF(size == sizes[i].size, "'%s' is %zu", sizes[i].text, size);
	}
}

/* Every byte of [gpa, gpa + len) at its ends is reachable at one fixed distance from gpa 0, and the byte behind is not. */
static void
check_span(struct vmctx *ctx, vm_paddr_t gpa, size_t len)
{
	uint8_t *base = vm_map_gpa(ctx, gpa, len);

	CHECKF(base != NULL, "0x%llx with 0x%zx bytes: %s", (unsigned long long)gpa, len, vm_errmsg());
	base[0] = 0x11;
	base[len - 1] = 0x22;
	CHECK_EQ(*(const uint8_t *)vm_map_read(ctx, gpa, 1), 0x11);
	CHECK_EQ(*(const uint8_t *)vm_map_read(ctx, gpa + len - 1, 1), 0x22);
	CHECK_EQ(vm_rev_map_gpa(ctx, base), gpa);
	CHECK_EQ(vm_rev_map_gpa(ctx, base + len - 1), gpa + len - 1);
	CHECK(vm_map_gpa(ctx, gpa, len + 1) == NULL);
	CHECK_EQ(errno, EFAULT);
	CHECK(vm_map_gpa(ctx, gpa + len, 1) == NULL);
	if (gpa != 0)
		CHECK(vm_map_gpa(ctx, gpa - 1, 2) == NULL);
}

TEST(guests_of_1_3_4_and_6_gib)
{
	static const uint64_t sizes[] = { 1 * GB, 3 * GB, 4 * GB, 6 * GB };
	const uint64_t limit = 0xb0000000;

	for (size_t i = 0; i < 4; i++) {
		struct vmctx *ctx = make(VM_ARCH_AMD64, sizes[i], 0);
		uint64_t low = sizes[i] < limit ? sizes[i] : limit, high = sizes[i] - low;

		CHECK_EQ(vm_get_lowmem_limit(ctx), limit);
		CHECK_EQ(vm_get_lowmem_size(ctx), low);
		CHECK_EQ(vm_get_highmem_base(ctx), 4 * GB);
		CHECK_EQ(vm_get_highmem_size(ctx), high);
		check_span(ctx, 0, low);
		if (high != 0) {
			check_span(ctx, 4 * GB, high);
			/* one distance for all of it */
			CHECK_EQ((uint8_t *)vm_map_gpa(ctx, 4 * GB, 1) - (uint8_t *)vm_map_gpa(ctx, 0, 1), 4 * GB);
		}
		/* never across the hole, never in it */
		CHECK(vm_map_gpa(ctx, low - 1, 2) == NULL);
		CHECK(vm_map_gpa(ctx, 0xe0000000, 4096) == NULL);
		CHECK(vm_map_gpa(ctx, 4 * GB - 4096, 4096) == NULL);
		vm_close(ctx);
	}
}

TEST(arm64_has_no_low_memory)
{
	struct vmctx *ctx = make(VM_ARCH_ARM64, 64 * MB, 0);
	struct vm_layout layout;

	OK(vm_get_layout(ctx, &layout));
	CHECK_EQ(vm_get_lowmem_limit(ctx), 0);
	CHECK_EQ(vm_get_lowmem_size(ctx), 0);
	CHECK_EQ(vm_get_highmem_size(ctx), 64 * MB);
	CHECK_EQ(vm_get_highmem_base(ctx), layout.ram[0].base);
	CHECK(vm_map_gpa(ctx, 0, 1) == NULL);
	check_span(ctx, layout.ram[0].base, 64 * MB);
	vm_close(ctx);
}

TEST(a_layout_of_ones_own)
{
	const struct vm_layout mine = { .name = "mine", .nram = 3, .nhole = 1,
	    .ram = { { 0, 1 * MB }, { 16 * MB, 18 * MB }, { 8 * GB, 9 * GB } }, .hole = { { 1 * GB, 2 * GB } } };
	struct vmctx *ctx = make(VM_ARCH_AMD64, 0, 0);
	struct vm_layout back;

	OK(vm_set_layout(ctx, &mine));
	OK(vm_get_layout(ctx, &back));
	CHECK_STR(back.name, "mine");
	CHECK_EQ(back.nram, 3);
	CHECK_EQ(back.ram[1].limit, 18 * MB);
	CHECK_EQ(back.hole[0].limit, 2 * GB);
	CHECK_EQ(vm_get_lowmem_limit(ctx), 1 * MB);
	CHECK_EQ(vm_get_highmem_base(ctx), 16 * MB);
	OK(vm_setup_memory(ctx, 4 * MB, VM_MMAP_ALL));
	CHECK_EQ(vm_get_lowmem_size(ctx), 1 * MB);
	CHECK_EQ(vm_get_highmem_size(ctx), 3 * MB);
	check_span(ctx, 0, 1 * MB);
	check_span(ctx, 16 * MB, 2 * MB);
	check_span(ctx, 8 * GB, 1 * MB);
	vm_close(ctx);
	/* more than it has room for is refused, exactly as much is not */
	ctx = make(VM_ARCH_AMD64, 0, 0);
	OK(vm_set_layout(ctx, &mine));
	CHECK_EQ(vm_setup_memory(ctx, 3 * MB + 1 * GB + 4096, VM_MMAP_ALL), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_HAS(vm_errmsg(), "mine");
	OK(vm_setup_memory(ctx, 3 * MB + 1 * GB, VM_MMAP_ALL));
	vm_close(ctx);
}

TEST(ram_starts_as_zeros_and_is_made_once)
{
	struct vmctx *ctx = make(VM_ARCH_AMD64, 8 * MB, 0);
	const uint8_t *ram = vm_map_read(ctx, 0, 8 * MB);

	for (size_t i = 0; i < 8 * MB; i += 1000)
		CHECK_EQ(ram[i], 0);
	/* a second set-up keeps what is there, and its length */
	OK(vm_gpa_write(ctx, 5 * MB, "x", 1));
	OK(vm_setup_memory(ctx, 4 * MB, VM_MMAP_ALL));
	CHECK_EQ(vm_get_lowmem_size(ctx), 8 * MB);
	CHECK_EQ(ram[5 * MB], 'x');
	vm_close(ctx);
}

TEST(two_vms_do_not_share)
{
	struct vmctx *a = make(VM_ARCH_AMD64, 1 * MB, 0), *b = make(VM_ARCH_ARM64, 1 * MB, 0);
	uint8_t *pa = vm_map_gpa(a, 0, 1), *pb = vm_map_gpa(b, vm_get_highmem_base(b), 1);

	CHECK(pa != NULL && pb != NULL);
	*pa = 1;
	*pb = 2;
	CHECK_EQ(*pa, 1);
	CHECK_EQ(vm_rev_map_gpa(a, pb), UINT64_MAX);
	CHECK_EQ(vm_rev_map_gpa(b, pa), UINT64_MAX);
	vm_close(a);
	CHECK_EQ(*pb, 2);
	vm_close(b);
}

/* SECTION: copies and write sections */

TEST(reads_and_writes_stay_in_ram)
{
	struct vmctx *ctx = make(VM_ARCH_AMD64, 1 * MB, 0);
	uint8_t buf[8192];

	memset(buf, 0xaa, sizeof(buf));
	OK(vm_gpa_write(ctx, 1 * MB - 8192, buf, 8192));
	memset(buf, 0, sizeof(buf));
	OK(vm_gpa_read(ctx, 1 * MB - 4096 - 1, buf, 2));
	CHECK_EQ(buf[0], 0xaa);
	CHECK_EQ(buf[1], 0xaa);
	/* one byte too many: nothing of it happens */
	memset(buf, 0x55, sizeof(buf));
	CHECK_EQ(vm_gpa_write(ctx, 1 * MB - 8191, buf, 8192), -1);
	CHECK_EQ(errno, EFAULT);
	OK(vm_gpa_read(ctx, 1 * MB - 1, buf, 1));
	CHECK_EQ(buf[0], 0xaa);
	OK(vm_gpa_read(ctx, 0, buf, 0));
	OK(vm_gpa_write(ctx, 0, buf, 0));
	vm_close(ctx);
}

static void *
end_elsewhere(void *ws)
{
	vm_write_commit(ws);
	return (NULL);
}

TEST(write_sections)
{
	for (int check = 0; check < 2; check++) {
		struct vmctx *ctx = make(VM_ARCH_AMD64, 1 * MB, check ? VM_SPEC_CHECK_WRITES : 0);
		struct vm_wsec a, b;
		pthread_t thread;
		char *p, *q;

		/* not aligned, across pages, overlapping, and ended by another thread */
		p = vm_write_begin(ctx, 4090, 20, &a);
		CHECKF(p != NULL, "%s", vm_errmsg());
		CHECK(p == a.host);
		q = vm_write_begin(ctx, 4095, 2, &b);
		CHECK(q != NULL);
		memcpy(p, "0123456789abcdefghi", 20);
		memcpy(q, "XY", 2);
		vm_write_commit(&b);
		CHECK_EQ(pthread_create(&thread, NULL, end_elsewhere, &a), 0);
		CHECK_EQ(pthread_join(thread, NULL), 0);
		CHECK_STR((const char *)vm_map_read(ctx, 4090, 20), "01234XY789abcdefghi");
		p = vm_write_begin(ctx, 0, 1, &a);
		CHECK(p != NULL);
		vm_write_cancel(&a);
		CHECK_EQ(*(const char *)vm_map_read(ctx, 0, 1), 0);
		vm_close(ctx);
	}
}

static int
store_dies(volatile uint8_t *p)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL);	/* also under a sanitizer */
		*p = 1;
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	return (WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

TEST(unmarked_writes_fault_when_writes_are_checked)
{
	struct vmctx *ctx = make(VM_ARCH_AMD64, 1 * MB, VM_SPEC_CHECK_WRITES);
	union { const void *in; volatile uint8_t *out; } view;
	struct vm_wsec ws;
	uint8_t *p;

	view.in = vm_map_read(ctx, 0x5000, 1);
	CHECK(view.in != NULL);
	CHECK(store_dies(view.out));
	p = vm_write_begin(ctx, 0x5000, 1, &ws);
	CHECK(p != NULL);
	*p = 77;
	CHECK(store_dies(view.out));		/* the section is elsewhere */
	vm_write_commit(&ws);
	CHECK(store_dies(p));			/* and over */
	CHECK_EQ(*view.out, 77);
	CHECK_EQ(vm_rev_map_gpa(ctx, view.in), 0x5000);
	/* loaders may still write */
	CHECK(!store_dies(vm_map_gpa(ctx, 0x5000, 1)));
	vm_close(ctx);
}

TEST(guards_around_ram)
{
	struct vmctx *ctx = make(VM_ARCH_AMD64, 1 * MB, 0);
	uint8_t *ram = vm_map_gpa(ctx, 0, 1 * MB);

	CHECK(ram != NULL);
	CHECK(store_dies(ram - 1));
	CHECK(store_dies(ram + 1 * MB));
	vm_close(ctx);
}

/* SECTION: segments and mappings */

static uint64_t
peek(struct vmctx *ctx, uint64_t gpa, unsigned size)
{
	uint64_t val = 0;

	CHECKF(vm_access(ctx, VM_SPACE_MEM, gpa, size, false, &val) == 0, "0x%llx: %s", (unsigned long long)gpa,
	    vm_errmsg());
	return (val);
}

static bool
nothing_at(struct vmctx *ctx, uint64_t gpa)
{
	uint64_t val = 0;

	if (vm_access(ctx, VM_SPACE_MEM, gpa, 4, false, &val) == 0)
		return (false);
	CHECK_EQ(errno, EFAULT);
	CHECK_EQ(val, UINT32_MAX);
	return (true);
}

TEST(device_memory)
{
	struct vmctx *ctx = make(VM_ARCH_AMD64, 1 * MB, 0);
	uint32_t *fb = vm_create_devmem(ctx, VM_FRAMEBUFFER, "framebuffer", 64 * KB);
	char name[VM_MAX_SEGNAME + 1];
	uint64_t val;
	size_t len;

	CHECKF(fb != MAP_FAILED, "%s", vm_errmsg());
	OK(vm_get_memseg(ctx, VM_FRAMEBUFFER, &len, name, sizeof(name)));
	CHECK_EQ(len, 64 * KB);
	CHECK_STR(name, "framebuffer");
	OK(vm_get_memseg(ctx, VM_SYSMEM, &len, NULL, 0));
	CHECK_EQ(len, 1 * MB);
	/* the guest sees nothing of it until it is mapped, then the same bytes, twice if mapped twice */
	CHECK(nothing_at(ctx, 0xe0000000));
	OK(vm_mmap_memseg(ctx, 0xe0000000, VM_FRAMEBUFFER, 0, 64 * KB, VM_PROT_RW));
	OK(vm_mmap_memseg(ctx, 0xd0000000, VM_FRAMEBUFFER, 4096, 8192, VM_PROT_RW));
	fb[1024] = 0xfeedface;
	CHECK_EQ(peek(ctx, 0xe0001000, 4), 0xfeedface);
	CHECK_EQ(peek(ctx, 0xd0000000, 4), 0xfeedface);
	val = 0x1234;
	OK(vm_access(ctx, VM_SPACE_MEM, 0xd0000004, 2, true, &val));
	CHECK_EQ(fb[1025], 0x1234);
	/* it is not RAM */
	CHECK(vm_map_gpa(ctx, 0xe0000000, 4) == NULL);
	CHECK_EQ(vm_rev_map_gpa(ctx, fb), UINT64_MAX);
	OK(vm_munmap_memseg(ctx, 0xd0000000, 8192));
	CHECK(nothing_at(ctx, 0xd0000000));
	CHECK_EQ(peek(ctx, 0xe0001000, 4), 0xfeedface);
	vm_close(ctx);
}

static unsigned
maps(struct vmctx *ctx)
{
	vm_paddr_t gpa = 0;
	vm_ooffset_t off;
	int segid, prot, flags;
	unsigned n = 0;
	size_t len;

	while (vm_mmap_getnext(ctx, &gpa, &segid, &off, &len, &prot, &flags) == 0) {
		CHECK_EQ(flags, 0);
		n++;
		gpa += len;
	}
	CHECK_EQ(errno, ENOENT);
	return (n);
}

static void
check_map(struct vmctx *ctx, vm_paddr_t from, vm_paddr_t gpa, int segid, uint64_t off, size_t len, int prot)
{
	vm_paddr_t g = from;
	vm_ooffset_t o;
	int s, p, f;
	size_t l;

	OK(vm_mmap_getnext(ctx, &g, &s, &o, &l, &p, &f));
	CHECK_EQ(g, gpa);
	CHECK_EQ(s, segid);
	CHECK_EQ(o, off);
	CHECK_EQ(l, len);
	CHECK_EQ(p, prot);
}

TEST(mappings_are_listed_and_split)
{
	struct vmctx *ctx = make(VM_ARCH_AMD64, 1 * MB, 0);
	uint8_t *ram = vm_map_gpa(ctx, 0, 1 * MB);
	uint64_t val = 5;

	CHECK_EQ(maps(ctx), 1);
	check_map(ctx, 0, 0, VM_SYSMEM, 0, 1 * MB, VM_PROT_ALL);
	/* the area of the ROMs becomes read-only */
	ram[0xc8000] = 0x55;
	OK(vm_mprotect_memseg(ctx, 0xc0000, 0x20000, VM_PROT_READ | VM_PROT_EXEC));
	CHECK_EQ(maps(ctx), 3);
	check_map(ctx, 0, 0, VM_SYSMEM, 0, 0xc0000, VM_PROT_ALL);
	check_map(ctx, 1, 0xc0000, VM_SYSMEM, 0xc0000, 0x20000, VM_PROT_READ | VM_PROT_EXEC);
	check_map(ctx, 0xc0001, 0xe0000, VM_SYSMEM, 0xe0000, 0x20000, VM_PROT_ALL);
	CHECK_EQ(peek(ctx, 0xc8000, 1), 0x55);
	(void)vm_access(ctx, VM_SPACE_MEM, 0xc8000, 1, true, &val);
	CHECK_EQ(ram[0xc8000], 0x55);
	/* a hole for a frame buffer; RAM keeps what it hides */
	ram[0xa0000] = 0x77;
	OK(vm_munmap_memseg(ctx, 0xa0000, 0x20000));
	CHECK(nothing_at(ctx, 0xa0000));
	CHECK_EQ(maps(ctx), 3);
	OK(vm_mmap_memseg(ctx, 0xa0000, VM_SYSMEM, 0xa0000, 0x20000, VM_PROT_ALL));
	CHECK_EQ(peek(ctx, 0xa0000, 1), 0x77);
	/* across several, with one protection again */
	OK(vm_mprotect_memseg(ctx, 0, 1 * MB, VM_PROT_ALL));
	OK(vm_access(ctx, VM_SPACE_MEM, 0xc8000, 1, true, &val));
	CHECK_EQ(ram[0xc8000], 5);
	/* a gap in the middle: nothing is changed */
	OK(vm_munmap_memseg(ctx, 0x50000, 4096));
	CHECK_EQ(vm_mprotect_memseg(ctx, 0x40000, 0x20000, VM_PROT_READ), -1);
	CHECK_EQ(errno, ENOENT);
	OK(vm_access(ctx, VM_SPACE_MEM, 0x40000, 1, true, &val));
	CHECK_EQ(vm_munmap_memseg(ctx, 0x40000, 0x20000), -1);
	CHECK_EQ(peek(ctx, 0x40000, 1), 5);
	vm_close(ctx);
}

struct seen {
	uint64_t	off, val;
	unsigned	size, n;
};

static void
see_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	struct seen *s = arg;

	CHECK(vcpu == NULL);
	*s = (struct seen){ off, val, size, s->n + 1 };
}

static uint64_t
see_read(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size)
{
	return (0x99);
}

TEST(writes_to_read_only_memory_go_to_the_range_there)
{
	struct seen seen = { 0 };
	const struct vm_range_spec rs = { .name = "flash", .space = VM_SPACE_MEM, .base = 0xffff0000, .len = 65536,
	    .read = see_read, .write = see_write, .arg = &seen };
	struct vmctx *ctx = make(VM_ARCH_AMD64, 1 * MB, 0);
	char *rom = vm_create_devmem(ctx, VM_BOOTROM, "rom", 65536);
	struct vm_range *range;
	uint64_t val = 0x40;

	CHECK(rom != MAP_FAILED);
	rom[16] = 0x5a;
	OK(vm_mmap_memseg(ctx, 0xffff0000, VM_BOOTROM, 0, 65536, VM_PROT_READ | VM_PROT_EXEC));
	range = vm_range_add(ctx, &rs);
	CHECKF(range != NULL, "%s", vm_errmsg());
	CHECK_EQ(peek(ctx, 0xffff0010, 1), 0x5a);	/* memory wins for reads */
	OK(vm_access(ctx, VM_SPACE_MEM, 0xffff0010, 1, true, &val));
	CHECK_EQ(seen.n, 1);
	CHECK_EQ(seen.off, 16);
	CHECK_EQ(seen.val, 0x40);
	CHECK_EQ(seen.size, 1);
	CHECK_EQ(rom[16], 0x5a);
	/* unmapped, the range gets everything: a flash chip in command mode */
	OK(vm_munmap_memseg(ctx, 0xffff0000, 65536));
	CHECK_EQ(peek(ctx, 0xffff0010, 1), 0x99);
	vm_range_remove(range);
	vm_close(ctx);
}

/* SECTION: the map while a guest runs */

struct runner {
	struct vcpu	*vcpu;
	_Atomic bool	 stop;
	unsigned	 exits;
};

static void *
run_main(void *arg)
{
	struct runner *r = arg;
	struct vm_exit exit;

	while (!atomic_load(&r->stop)) {
		CHECKF(vm_run(r->vcpu, &exit) == 0, "%s", vm_errmsg());
		CHECKF(exit.code == VM_EXIT_KICKED || exit.code == VM_EXIT_MMIO, "exit %d at 0x%llx", exit.code,
		    (unsigned long long)exit.pc);
		if (exit.code == VM_EXIT_MMIO) {
			CHECK_EQ(exit.u.mmio.gpa, 0xd0000000);
			CHECK(exit.u.mmio.write);
			r->exits++;
		}
	}
	return (NULL);
}

/* What a guest's processor writes at the same time. */
static uint32_t
look(uint32_t *p)
{
	return (__atomic_load_n(p, __ATOMIC_RELAXED));
}

TEST(a_mapping_comes_and_goes_under_a_running_guest)
{
	/* mov ebx, 0xd0000000; again: inc eax; mov [ebx], eax; jmp again */
	static const uint8_t code[] = { 0xbb, 0, 0, 0, 0xd0, 0x40, 0x89, 0x03, 0xeb, 0xfb };
	struct vmctx *ctx = make(VM_ARCH_AMD64, 1 * MB, 0);
	uint32_t *mem = vm_create_devmem(ctx, VM_FRAMEBUFFER, "fb", 4096);
	struct runner r = { .vcpu = vm_vcpu_open(ctx, 0) };
	pthread_t thread;
	uint32_t last;

	CHECK(mem != MAP_FAILED && r.vcpu != NULL);
	OK(vm_gpa_write(ctx, 0x1000, code, sizeof(code)));
	OK(vm_setup_freebsd_registers_i386(r.vcpu, 0x1000, 0x800, 0x2000));
	CHECK_EQ(pthread_create(&thread, NULL, run_main, &r), 0);
	for (int i = 0; i < 50; i++) {
		last = look(mem);
		OK(vm_mmap_memseg(ctx, 0xd0000000, VM_FRAMEBUFFER, 0, 4096, VM_PROT_RW));
		while (look(mem) == last)
			usleep(100);
		OK(vm_munmap_memseg(ctx, 0xd0000000, 4096));
		/* once it is gone nobody writes there any more */
		last = look(mem);
		usleep(1000);
		CHECK_EQ(look(mem), last);
	}
	atomic_store(&r.stop, true);
	OK(vm_vcpu_kick(r.vcpu));
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK(r.exits > 0);
	vm_close(ctx);
}

TEST(reinit_takes_all_memory_away)
{
	struct vmctx *ctx = make(VM_ARCH_AMD64, 4 * MB, 0);
	char *rom = vm_create_devmem(ctx, VM_BOOTROM, "rom", 4096);
	size_t len;

	CHECK(rom != MAP_FAILED);
	OK(vm_gpa_write(ctx, 0, "old", 4));
	OK(vm_mmap_memseg(ctx, 0xfffff000, VM_BOOTROM, 0, 4096, VM_PROT_READ));
	vm_set_memflags(ctx, VM_MEM_F_INCORE);
	OK(vm_reinit(ctx));
	CHECK_EQ(maps(ctx), 0);
	CHECK_EQ(vm_get_memflags(ctx), 0);
	CHECK_EQ(vm_get_lowmem_size(ctx), 0);
	OK(vm_get_memseg(ctx, VM_BOOTROM, &len, NULL, 0));
	CHECK_EQ(len, 0);
	CHECK(vm_map_gpa(ctx, 0, 1) == NULL);
	OK(vm_setup_memory(ctx, 1 * MB, VM_MMAP_ALL));
	CHECK_EQ(*(const char *)vm_map_read(ctx, 0, 1), 0);
	vm_close(ctx);
}
