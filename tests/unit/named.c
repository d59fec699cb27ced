/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * named.c - the life of a named VM: names, locks between processes, leftovers of what died
 * half-way, and everything that must still be there after whoever made it is gone.
 *
 * Each case has a run directory of its own.  "Another process" is a fork that ends by _exit() or by
 * a signal, without closing anything.
 */
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <time.h>

#include <vmmapi.h>
#include <vmmapi/amd64.h>
#include <vmmapi/arm64.h>

#include "test.h"

TEST_MAIN()

#define	MB		(1UL << 20)
#define	OK(call)	CHECKF((call) == 0, "%s: %s", #call, vm_errmsg())

static char rundir[96];
static bool mounted;

static void
remove_rundir(void)
{
	char cmd[160];

	if (mounted)
		(void)umount2(rundir, MNT_DETACH);
	snprintf(cmd, sizeof(cmd), "rm -rf -- %s", rundir);
	if (rundir[0] != '\0' && system(cmd) != 0)
		fprintf(stderr, "%s stays\n", rundir);
}

/* A fresh run directory; removed when the case's own process ends, not one of its children. */
static void
setup(void)
{
	snprintf(rundir, sizeof(rundir), "/tmp/hyve-named.XXXXXX");
	CHECK(mkdtemp(rundir) != NULL);
	setenv("HYVE_RUNDIR", rundir, 1);
	atexit(remove_rundir);
}

static struct vmctx *
open_vm(const char *name)
{
	struct vmctx *ctx = vm_open(name);

	CHECKF(ctx != NULL, "%s", vm_errmsg());
	return (ctx);
}

static struct vcpu *
cpu(struct vmctx *ctx, int id)
{
	struct vcpu *vcpu = vm_vcpu_open(ctx, id);

	CHECKF(vcpu != NULL, "%s", vm_errmsg());
	return (vcpu);
}

static void
fails(int error, int got, const char *part)
{
	int seen = errno;

	CHECK_EQ(got, -1);
	CHECKF(seen == error, "errno %d (%s), not %d: %s", seen, strerror(seen), error, vm_errmsg());
	CHECK_HAS(vm_errmsg(), part);
}

static int
null(const void *p)
{
	return (p == NULL ? -1 : 0);
}

/* Run fn in a process of its own and wait for its end, which must be this status. */
static void
elsewhere(void (*fn)(void), int want)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		fn();
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECKF(status == want, "the other process ended with status 0x%x", status);
}

/* SECTION: names */

TEST(create_open_close_destroy)
{
	struct stat st;
	char path[256];
	struct vmctx *ctx;

	setup();
	fails(ENOENT, null(vm_open("one")), "one");
	OK(vm_create("one"));
	fails(EEXIST, vm_create("one"), "one");
	CHECK_EQ(stat(rundir, &st), 0);
	CHECK_EQ(st.st_mode & 07777, 0700);
	snprintf(path, sizeof(path), "%s/one", rundir);
	CHECK_EQ(stat(path, &st), 0);
	CHECK_EQ(st.st_mode & 077, 0);
	ctx = open_vm("one");
	CHECK_STR(vm_get_name(ctx), "one");
	CHECK_EQ(vm_get_arch(ctx), VM_ARCH_AMD64);
	CHECK(vm_accel_name(ctx) == NULL);
	vm_close(ctx);
	ctx = open_vm("one");
	vm_destroy(ctx);
	fails(ENOENT, null(vm_open("one")), "one");
	CHECK_EQ(stat(path, &st), -1);
	OK(vm_create("one"));
	vm_destroy(open_vm("one"));
}

TEST(odd_names)
{
	static const char *const names[] = {
		"a", "-rf", "two words", " ", "~", "*", "%s%n", "$(id)", "a.b", "a..", "state", "mem", "\xc3\xa4\xe2\x82\xac",
		"\xff\xfe", "quote\"'", "back\\slash", "#1", "new",
	};
	char longest[VM_MAX_NAMELEN + 1];
	struct vmctx *ctx;

	setup();
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		CHECKF(vm_create(names[i]) == 0, "'%s': %s", names[i], vm_errmsg());
		ctx = open_vm(names[i]);
		CHECK_STR(vm_get_name(ctx), names[i]);
		OK(vm_setup_memory(ctx, MB, VM_MMAP_ALL));
		OK(vm_gpa_write(ctx, 0, names[i], strlen(names[i]) + 1));
		vm_close(ctx);
	}
	/* they did not get in each other's way */
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		ctx = open_vm(names[i]);
		CHECK_STR((const char *)vm_map_read(ctx, 0, 64), names[i]);
		vm_destroy(ctx);
	}
	memset(longest, 'x', VM_MAX_NAMELEN);
	longest[VM_MAX_NAMELEN] = '\0';
	OK(vm_create(longest));
	ctx = open_vm(longest);
	CHECK_STR(vm_get_name(ctx), longest);
	vm_destroy(ctx);
	CHECK_EQ(rmdir(rundir), 0);		/* nothing stays behind */
}

TEST(open_flags)
{
	struct vmctx *ctx;
	uint64_t val = 0;

	setup();
	/* CREATE makes one, and takes one that is there as it is */
	ctx = vm_openf("flags", VMMAPI_OPEN_CREATE);
	CHECKF(ctx != NULL, "%s", vm_errmsg());
	OK(vm_setup_memory(ctx, MB, VM_MMAP_ALL));
	OK(vm_gpa_write(ctx, 0, "kept", 5));
	vm_close(ctx);
	ctx = vm_openf("flags", VMMAPI_OPEN_CREATE);
	CHECKF(ctx != NULL, "%s", vm_errmsg());
	CHECK_STR((const char *)vm_map_read(ctx, 0, 5), "kept");
	OK(vm_set_register(cpu(ctx, 0), VM_AMD64_REG_R9, 99));
	vm_close(ctx);
	/* REINIT puts it back to what it was at first */
	ctx = vm_openf("flags", VMMAPI_OPEN_CREATE | VMMAPI_OPEN_REINIT);
	CHECKF(ctx != NULL, "%s", vm_errmsg());
	CHECK_EQ(vm_get_lowmem_size(ctx), 0);
	OK(vm_get_register(cpu(ctx, 0), VM_AMD64_REG_R9, &val));
	CHECK_EQ(val, 0);
	vm_close(ctx);
	vm_destroy(open_vm("flags"));
	/* gone at the close */
	ctx = vm_openf("brief", VMMAPI_OPEN_CREATE | VMMAPI_OPEN_CREATE_DESTROY_ON_CLOSE);
	CHECKF(ctx != NULL, "%s", vm_errmsg());
	vm_close(ctx);
	fails(ENOENT, null(vm_open("brief")), "brief");
}

TEST(many)
{
	enum { N = 24 };
	struct vmctx *ctx[N];
	char name[16];
	uint64_t val;

	setup();
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "vm%d", i);
		OK(vm_create(name));
		ctx[i] = open_vm(name);
		OK(vm_setup_memory(ctx[i], MB, VM_MMAP_ALL));
		OK(vm_gpa_write(ctx[i], 4096, &i, sizeof(i)));
		OK(vm_set_register(cpu(ctx[i], 0), VM_AMD64_REG_RAX, 1000 + (uint64_t)i));
	}
	for (int i = 0; i < N; i++) {
		int got = -1;

		OK(vm_gpa_read(ctx[i], 4096, &got, sizeof(got)));
		CHECK_EQ(got, i);
		OK(vm_get_register(cpu(ctx[i], 0), VM_AMD64_REG_RAX, &val));
		CHECK_EQ(val, 1000 + i);
		if (i % 2 == 0)
			vm_destroy(ctx[i]);
		else
			vm_close(ctx[i]);
	}
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "vm%d", i);
		CHECK_EQ(null(ctx[0] = vm_open(name)), i % 2 == 0 ? -1 : 0);
		vm_destroy(ctx[0]);
	}
}

TEST(of_either_architecture)
{
	struct vm_spec spec = { .size = sizeof(spec), .name = "arm", .arch = VM_ARCH_ARM64 };
	struct vmctx *arm, *amd;
	uint64_t val;

	setup();
	arm = vm_new(&spec);
	CHECKF(arm != NULL, "%s", vm_errmsg());
	OK(vm_set_register(cpu(arm, 0), VM_ARM64_REG_X0, 0xabc));
	vm_close(arm);
	OK(vm_create("amd"));
	amd = open_vm("amd");
	OK(vm_set_register(cpu(amd, 0), VM_AMD64_REG_RAX, 0xdef));
	arm = open_vm("arm");
	CHECK_EQ(vm_get_arch(arm), VM_ARCH_ARM64);
	CHECK_EQ(vm_get_arch(amd), VM_ARCH_AMD64);
	OK(vm_get_register(cpu(arm, 0), VM_ARM64_REG_X0, &val));
	CHECK_EQ(val, 0xabc);
	OK(vm_get_register(cpu(amd, 0), VM_AMD64_REG_RAX, &val));
	CHECK_EQ(val, 0xdef);
	vm_destroy(arm);
	vm_destroy(amd);
}

/* SECTION: what outlives its maker */

static void
fill_and_die(void)
{
	static const struct vm_layout layout = { .name = "mine", .nram = 2, .nhole = 1,
	    .ram = { { 0, 4 * MB }, { 1ULL << 32, 1ULL << 33 } }, .hole = { { 1UL << 30, 1UL << 31 } } };
	struct vmctx *ctx;
	char *rom;

	OK(vm_create("heir"));
	ctx = open_vm("heir");
	OK(vm_set_layout(ctx, &layout));
	vm_set_memflags(ctx, VM_MEM_F_INCORE);
	OK(vm_set_topology(ctx, 1, 2, 1, 0));
	OK(vm_set_counter_freq(ctx, 1234567890));
	OK(vm_setup_memory(ctx, 6 * MB, VM_MMAP_ALL));
	strcpy(vm_map_gpa(ctx, 4 * MB - 16, 16), "end of low");
	strcpy(vm_map_gpa(ctx, 1ULL << 32, 16), "start of high");
	rom = vm_create_devmem(ctx, VM_BOOTROM, "rom", 65536);
	CHECK(rom != MAP_FAILED);
	strcpy(rom + 4096, "firmware");
	OK(vm_mmap_memseg(ctx, 0xffff0000, VM_BOOTROM, 0, 65536, VM_PROT_READ | VM_PROT_EXEC));
	OK(vm_mprotect_memseg(ctx, 0xc0000, 0x10000, VM_PROT_READ));
	OK(vm_set_register(cpu(ctx, 0), VM_AMD64_REG_RIP, 0x1234));
	OK(vm_set_register(cpu(ctx, 1), VM_AMD64_REG_R15, 0x5678));
	OK(vm_set_desc(cpu(ctx, 1), VM_AMD64_REG_FS, 0x100000, 0xffff, 0x93));
	OK(vm_set_capability(cpu(ctx, 1), VM_CAP_HALT_EXIT, 1));
	/* in the middle of things */
	kill(getpid(), SIGKILL);
}

TEST(a_killed_owner_leaves_everything)
{
	uint32_t limit, access;
	uint16_t s, c, t, m;
	struct vm_layout layout;
	uint64_t val, base;
	vm_ooffset_t off;
	vm_paddr_t gpa = 0xc0000;
	struct vmctx *ctx;
	int segid, prot, flags, cap;
	char name[32];
	size_t len;

	setup();
	elsewhere(fill_and_die, SIGKILL);
	ctx = open_vm("heir");
	OK(vm_get_layout(ctx, &layout));
	CHECK_STR(layout.name, "mine");
	CHECK_EQ(layout.nram, 2);
	CHECK_EQ(layout.ram[0].limit, 4 * MB);
	CHECK_EQ(layout.hole[0].base, 1UL << 30);
	CHECK_EQ(vm_get_memflags(ctx), VM_MEM_F_INCORE);
	OK(vm_get_topology(ctx, &s, &c, &t, &m));
	CHECK(s == 1 && c == 2 && t == 1);
	CHECK_EQ(vm_get_counter_freq(ctx), 1234567890);
	CHECK_EQ(vm_get_lowmem_size(ctx), 4 * MB);
	CHECK_EQ(vm_get_highmem_size(ctx), 2 * MB);
	CHECK_STR(vm_map_gpa(ctx, 4 * MB - 16, 16), "end of low");
	CHECK_STR(vm_map_gpa(ctx, 1ULL << 32, 16), "start of high");
	OK(vm_get_memseg(ctx, VM_BOOTROM, &len, name, sizeof(name)));
	CHECK_EQ(len, 65536);
	CHECK_STR(name, "rom");
	/* the same segment again is that segment */
	CHECK_STR((char *)vm_create_devmem(ctx, VM_BOOTROM, "rom", 65536) + 4096, "firmware");
	val = 0;
	OK(vm_access(ctx, VM_SPACE_MEM, 0xffff1000, 4, false, &val));
	CHECK_EQ(val, 0x6d726966);		/* "firm" */
	OK(vm_mmap_getnext(ctx, &gpa, &segid, &off, &len, &prot, &flags));
	CHECK_EQ(gpa, 0xc0000);
	CHECK_EQ(len, 0x10000);
	CHECK_EQ(prot, VM_PROT_READ);
	OK(vm_get_register(cpu(ctx, 0), VM_AMD64_REG_RIP, &val));
	CHECK_EQ(val, 0x1234);
	OK(vm_get_register(cpu(ctx, 1), VM_AMD64_REG_R15, &val));
	CHECK_EQ(val, 0x5678);
	OK(vm_get_desc(cpu(ctx, 1), VM_AMD64_REG_FS, &base, &limit, &access));
	CHECK(base == 0x100000 && limit == 0xffff && access == 0x93);
	OK(vm_get_capability(cpu(ctx, 1), VM_CAP_HALT_EXIT, &cap));
	CHECK_EQ(cap, 1);
	OK(vm_get_capability(cpu(ctx, 0), VM_CAP_HALT_EXIT, &cap));
	CHECK_EQ(cap, 0);
	/* RAM that is there wins over what is asked for */
	OK(vm_setup_memory(ctx, 1 * MB, VM_MMAP_ALL));
	CHECK_EQ(vm_get_lowmem_size(ctx) + vm_get_highmem_size(ctx), 6 * MB);
	vm_destroy(ctx);
}

static void
run_and_die(void)
{
	struct vmctx *ctx;
	struct vm_exit exit;

	OK(vm_create("ran"));
	ctx = open_vm("ran");
	OK(vm_setup_memory(ctx, MB, VM_MMAP_ALL));
	/* mov ebx, 0x11223344; mov [0x3000], ebx; out 0x80, al; hlt */
	OK(vm_gpa_write(ctx, 0x1000, "\xbb\x44\x33\x22\x11\x89\x1d\x00\x30\x00\x00\xe6\x80\xf4", 14));
	OK(vm_setup_freebsd_registers_i386(cpu(ctx, 0), 0x1000, 0x800, 0x2000));
	OK(vm_run(cpu(ctx, 0), &exit));
	CHECK_EQ(exit.code, VM_EXIT_IO);
	kill(getpid(), SIGKILL);
}

TEST(a_killed_vmm_leaves_what_the_guest_wrote)
{
	struct vmctx *ctx;
	uint32_t val = 0;

	if (vm_accel_probe(VM_ACCEL_SOFT, VM_ARCH_AMD64) != 0)
		SKIP(vm_errmsg());
	setup();
	elsewhere(run_and_die, SIGKILL);
	ctx = open_vm("ran");
	OK(vm_gpa_read(ctx, 0x3000, &val, 4));
	CHECK_EQ(val, 0x11223344);
	/* and can be set to work again */
	OK(vm_vcpu_reset(cpu(ctx, 0)));
	vm_destroy(ctx);
}

/* SECTION: locks */

static int ready[2], done[2];

static void
hold_lock(void)
{
	struct vmctx *ctx = open_vm("locked");
	char c;

	OK(vm_set_register(cpu(ctx, 0), VM_AMD64_REG_RDX, 42));
	CHECK_EQ(write(ready[1], "r", 1), 1);
	CHECK_EQ(read(done[0], &c, 1), 1);
	if (c == 'k')
		kill(getpid(), SIGKILL);
	vm_close(ctx);
}

static void
lock_test(const char *how, int status)
{
	struct vmctx *ctx;
	uint64_t val;
	pid_t pid;
	int got;
	char c;

	setup();
	OK(vm_create("locked"));
	CHECK(pipe(ready) == 0 && pipe(done) == 0);
	fflush(NULL);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		hold_lock();
		_exit(0);
	}
	CHECK_EQ(read(ready[0], &c, 1), 1);
	fails(EBUSY, null(vm_open("locked")), "locked");
	fails(EBUSY, null(vm_openf("locked", VMMAPI_OPEN_REINIT)), "locked");
	fails(EEXIST, vm_create("locked"), "locked");
	CHECK_EQ(write(done[1], how, 1), 1);
	CHECK_EQ(waitpid(pid, &got, 0), pid);
	CHECK_EQ(got, status);
	ctx = open_vm("locked");
	OK(vm_get_register(cpu(ctx, 0), VM_AMD64_REG_RDX, &val));
	CHECK_EQ(val, 42);
	/* the lock is the handle's, also within one process */
	fails(EBUSY, null(vm_open("locked")), "in use");
	vm_close(ctx);
	ctx = open_vm("locked");
	vm_destroy(ctx);
}

TEST(one_process_at_a_time)
{
	lock_test("c", 0);
}

TEST(a_lock_dies_with_its_process)
{
	lock_test("k", SIGKILL);
}

/* An inherited handle must not keep the lock: descriptors are closed by exec. */
TEST(programs_that_are_started_do_not_inherit_the_lock)
{
	struct vmctx *ctx;
	pid_t pid;
	int status;

	setup();
	OK(vm_create("exec"));
	ctx = open_vm("exec");
	CHECK(pipe(done) == 0);
	fflush(NULL);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		dup2(done[0], 0);
		close(done[1]);
		execl("/bin/cat", "cat", (char *)NULL);
		_exit(127);
	}
	/* once it is another program, it has none of our descriptors but its input */
	for (int i = 0; i < 1000; i++) {
		char path[64], exe[256];
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
		n = readlink(path, exe, sizeof(exe) - 1);
		exe[n > 0 ? n : 0] = '\0';
		if (strstr(exe, "test") == NULL && strstr(exe, "named") == NULL)
			break;
		usleep(10000);
	}
	vm_close(ctx);
	ctx = open_vm("exec");
	vm_destroy(ctx);
	close(done[1]);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

/* SECTION: leftovers and damage */

/* Make a file in the run directory. */
static void
put_file(const char *dir, const char *file, const void *data, size_t len)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", rundir, dir);
	CHECK(mkdir(path, 0700) == 0 || errno == EEXIST);
	if (file == NULL)
		return;
	snprintf(path, sizeof(path), "%s/%s/%s", rundir, dir, file);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	CHECK(fd >= 0);
	CHECK_EQ(write(fd, data, len), len);
	close(fd);
}

static void
age(const char *name)
{
	const struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", rundir, name);
	CHECK_EQ(utimensat(AT_FDCWD, path, old, 0), 0);
}

static unsigned
entries(void)
{
	DIR *d = opendir(rundir);
	unsigned n = 0;

	CHECK(d != NULL);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return (n - 2);
}

TEST(half_created_ones_are_replaced)
{
	setup();
	/* a directory and nothing in it; with an empty state file; with memory alone */
	put_file("a", NULL, "", 0);
	put_file("b", "state", "", 0);
	put_file("c", "mem", "xx", 2);
	fails(EILSEQ, null(vm_open("a")), rundir);
	fails(EILSEQ, null(vm_open("b")), rundir);
	fails(EILSEQ, null(vm_open("c")), rundir);
	OK(vm_create("a"));
	OK(vm_create("b"));
	OK(vm_create("c"));
	vm_destroy(open_vm("a"));
	vm_destroy(open_vm("b"));
	vm_destroy(open_vm("c"));
	CHECK_EQ(entries(), 0);
}

TEST(what_died_in_the_making_is_swept)
{
	setup();
	put_file(".new.1.0", NULL, "", 0);
	put_file(".new.1.1", "state", "xx", 2);
	put_file(".new.1.1", "mem", "", 0);
	age(".new.1.0");
	age(".new.1.1/state");
	age(".new.1.1");
	OK(vm_create("x"));
	CHECK_EQ(entries(), 1);
	vm_destroy(open_vm("x"));
	CHECK_EQ(entries(), 0);
}

TEST(what_is_being_made_is_not_swept)
{
	setup();
	put_file(".new.1.0", NULL, "", 0);
	put_file(".new.1.1", "state", "xx", 2);
	OK(vm_create("x"));
	CHECK_EQ(entries(), 3);
}

TEST(damage_is_told_and_not_touched)
{
	static const char junk[1 << 16] = "this is no VM";
	char path[512], *whole;
	struct vmctx *ctx;
	struct stat st;
	int fd;

	setup();
	put_file("junk", "state", junk, sizeof(junk));
	fails(EILSEQ, null(vm_open("junk")), "junk");
	CHECK_HAS(vm_errmsg(), rundir);
	CHECK_HAS(vm_errmsg(), "remove");
	fails(EEXIST, vm_create("junk"), "junk");
	put_file("short", "state", "hyve", 4);
	fails(EILSEQ, null(vm_open("short")), "short");
	/* one that was whole: too short, without its memory, and of another version */
	OK(vm_create("whole"));
	ctx = open_vm("whole");
	OK(vm_setup_memory(ctx, MB, VM_MMAP_ALL));
	vm_close(ctx);
	snprintf(path, sizeof(path), "%s/whole/state", rundir);
	fd = open(path, O_RDWR);
	CHECK(fd >= 0 && fstat(fd, &st) == 0);
	whole = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	CHECK(whole != MAP_FAILED);
	whole[st.st_size - 1] ^= 0;
	for (off_t at = 0; at < 32; at += 4) {
		uint32_t word, bad = 0xfffffff0;

		memcpy(&word, whole + at, 4);
		CHECK_EQ(pwrite(fd, &bad, 4, at), 4);
		ctx = vm_open("whole");
		if (ctx != NULL)
			vm_close(ctx);		/* flags may be anything */
		else
			CHECKF(errno == EILSEQ && vm_errmsg()[0] != '\0', "word %ld: errno %d", (long)at, errno);
		CHECK_EQ(pwrite(fd, &word, 4, at), 4);
	}
	ctx = open_vm("whole");
	vm_close(ctx);
	CHECK_EQ(ftruncate(fd, st.st_size - 1), 0);
	fails(EILSEQ, null(vm_open("whole")), "whole");
	CHECK_EQ(ftruncate(fd, st.st_size), 0);
	ctx = open_vm("whole");
	vm_close(ctx);
	snprintf(path, sizeof(path), "%s/whole/mem", rundir);
	CHECK_EQ(truncate(path, 4096), 0);
	fails(EILSEQ, null(vm_open("whole")), "whole");
	CHECK_EQ(unlink(path), 0);
	fails(EILSEQ, null(vm_open("whole")), "whole");
	munmap(whole, (size_t)st.st_size);
	close(fd);
}

/* Every word of the header page may be anything: an error with a sentence or a VM that can be closed, never a crash. */
TEST(any_header_is_survived)
{
	static const uint64_t values[] = { 0, 1, 0x7fffffff, UINT64_MAX, 1ULL << 63, 0x1000, 0xfffffffffffff000ULL };
	char path[512];
	struct vmctx *ctx;
	uint64_t word;
	unsigned refused = 0, taken = 0;
	int fd;

	setup();
	OK(vm_create("v"));
	ctx = open_vm("v");
	OK(vm_setup_memory(ctx, MB, VM_MMAP_ALL));
	CHECK(vm_create_devmem(ctx, VM_BOOTROM, "rom", 4096) != MAP_FAILED);
	OK(vm_mmap_memseg(ctx, 0xfffff000, VM_BOOTROM, 0, 4096, VM_PROT_READ));
	OK(vm_set_register(cpu(ctx, 0), VM_AMD64_REG_RAX, 1));
	vm_close(ctx);
	snprintf(path, sizeof(path), "%s/v/state", rundir);
	fd = open(path, O_RDWR);
	CHECK(fd >= 0);
	for (off_t at = 0; at < 8192; at += 8) {
		for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++) {
			CHECK_EQ(pread(fd, &word, 8, at), 8);
			if (word == 0 && at > 4096 && v > 1)
				continue;		/* the long tail of zeros */
			CHECK_EQ(pwrite(fd, &values[v], 8, at), 8);
			ctx = vm_open("v");
			if (ctx != NULL) {
				taken++;
				(void)vm_vcpu_open(ctx, 0);
				(void)vm_setup_memory(ctx, MB, VM_MMAP_ALL);
				/* not vm_close(): it may have become one that is destroyed by that */
				CHECK_EQ(pwrite(fd, &word, 8, at), 8);
				vm_close(ctx);
				ctx = vm_open("v");
				if (ctx == NULL) {
					/* it was: make it anew */
					CHECK_EQ(errno, ENOENT);
					close(fd);
					OK(vm_create("v"));
					ctx = open_vm("v");
					OK(vm_setup_memory(ctx, MB, VM_MMAP_ALL));
					CHECK(vm_create_devmem(ctx, VM_BOOTROM, "rom", 4096) != MAP_FAILED);
					OK(vm_mmap_memseg(ctx, 0xfffff000, VM_BOOTROM, 0, 4096, VM_PROT_READ));
					fd = open(path, O_RDWR);
					CHECK(fd >= 0);
				}
				vm_close(ctx);
			} else {
				refused++;
				CHECKF(vm_errmsg()[0] != '\0', "no sentence for 0x%llx at %ld",
				    (unsigned long long)values[v], (long)at);
				CHECK_EQ(pwrite(fd, &word, 8, at), 8);
			}
		}
	}
	CHECK(refused > 50);
	CHECK(taken > 50);
	close(fd);
}

static const char *dead_name;

static void
drop_and_destroy(void)
{
	struct vmctx *ctx = open_vm(dead_name);

	OK(vm_setup_memory(ctx, MB, VM_MMAP_ALL));
	CHECK_EQ(setgid(65534), 0);
	CHECK_EQ(setuid(65534), 0);
	vm_destroy(ctx);
}

TEST(destroyed_without_privileges)
{
	struct vmctx *ctx;

	if (geteuid() != 0)
		SKIP("needs root, to drop it");
	setup();
	dead_name = "dead";
	OK(vm_create("dead"));
	elsewhere(drop_and_destroy, 0);
	fails(ENOENT, null(vm_open("dead")), "dead");
	OK(vm_create("dead"));
	ctx = open_vm("dead");
	CHECK_EQ(vm_get_lowmem_size(ctx), 0);
	vm_destroy(ctx);
}

static void
make_brief_and_die(void)
{
	CHECK(vm_openf("brief", VMMAPI_OPEN_CREATE | VMMAPI_OPEN_CREATE_DESTROY_ON_CLOSE) != NULL);
	kill(getpid(), SIGKILL);
}

TEST(destroy_on_close_survives_no_crash)
{
	struct vmctx *ctx;

	setup();
	elsewhere(make_brief_and_die, SIGKILL);
	/* nobody closed it, so it is a leftover */
	OK(vm_create("brief"));
	ctx = open_vm("brief");
	vm_destroy(ctx);
}

/* SECTION: the run directory */

TEST(a_run_directory_must_be_ones_own)
{
	char path[256], link[256];

	setup();
	CHECK_EQ(chmod(rundir, 0755), 0);
	fails(EACCES, vm_create("x"), rundir);
	CHECK_EQ(chmod(rundir, 0700), 0);
	/* not through a symbolic link that somebody put there */
	snprintf(path, sizeof(path), "%s/real", rundir);
	snprintf(link, sizeof(link), "%s/link", rundir);
	CHECK_EQ(mkdir(path, 0700), 0);
	CHECK_EQ(symlink(path, link), 0);
	setenv("HYVE_RUNDIR", link, 1);
	CHECK_EQ(vm_create("x"), -1);
	CHECK_HAS(vm_errmsg(), link);
	if (geteuid() == 0) {
		CHECK_EQ(chown(path, 65534, 65534), 0);
		setenv("HYVE_RUNDIR", path, 1);
		fails(EACCES, vm_create("x"), path);
	}
	snprintf(path, sizeof(path), "%s/no/such", rundir);
	setenv("HYVE_RUNDIR", path, 1);
	fails(ENOENT, vm_create("x"), path);
	setenv("HYVE_RUNDIR", "/dev/null", 1);
	CHECK_EQ(vm_create("x"), -1);
	CHECK_HAS(vm_errmsg(), "/dev/null");
}

static void
as_nobody(void)
{
	struct vmctx *ctx;
	char path[256];
	struct stat st;

	CHECK(setgid(65534) == 0 && setuid(65534) == 0);
	unsetenv("HYVE_RUNDIR");
	setenv("XDG_RUNTIME_DIR", rundir, 1);
	OK(vm_create("mine"));
	snprintf(path, sizeof(path), "%s/hyve/mine/state", rundir);
	CHECK_EQ(stat(path, &st), 0);
	snprintf(path, sizeof(path), "%s/hyve", rundir);
	CHECK_EQ(stat(path, &st), 0);
	CHECK_EQ(st.st_mode & 07777, 0700);
	ctx = open_vm("mine");
	vm_destroy(ctx);
}

TEST(without_root_it_is_below_xdg_runtime_dir)
{
	if (geteuid() != 0)
		SKIP("needs root, to become someone else");
	setup();
	CHECK_EQ(chmod(rundir, 0777), 0);
	elsewhere(as_nobody, 0);
}

/* SECTION: a full file system */

/* A tmpfs of this size for the run directory, in a mount namespace of the case's own. */
static void
small_tmpfs(const char *size)
{
	char opts[64];

	setup();
	if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
		SKIP("a mount namespace of its own was refused");
	snprintf(opts, sizeof(opts), "size=%s,mode=0700", size);
	if (mount("tmpfs", rundir, "tmpfs", 0, opts) != 0)
		SKIP("mounting a tmpfs was refused");
	mounted = true;
}

TEST(no_room_for_a_vm)
{
	small_tmpfs("64k");
	fails(ENOSPC, vm_create("x"), "x");
	/* half of it did not stay */
	CHECK_EQ(entries(), 0);
	fails(ENOENT, null(vm_open("x")), "x");
}

TEST(no_room_for_its_memory)
{
	struct vmctx *ctx;
	volatile uint8_t *ram;
	char *rom;

	small_tmpfs("24m");
	OK(vm_create("x"));
	ctx = open_vm("x");
	fails(ENOSPC, vm_setup_memory(ctx, 64 * MB, VM_MMAP_ALL), "64 MiB");
	CHECK_EQ(vm_get_lowmem_size(ctx), 0);
	fails(EFAULT, null(vm_map_gpa(ctx, 0, 1)), "");
	/* what did not fit gave its room back: something smaller does */
	OK(vm_setup_memory(ctx, 8 * MB, VM_MMAP_ALL));
	rom = vm_create_devmem(ctx, VM_BOOTROM, "rom", 1 * MB);
	CHECKF(rom != MAP_FAILED, "%s", vm_errmsg());
	CHECK(vm_create_devmem(ctx, VM_FRAMEBUFFER, "fb", 32 * MB) == MAP_FAILED);
	CHECK_EQ(errno, ENOSPC);
	CHECK(vm_errmsg()[0] != '\0');
	/* someone else takes all the rest; no page of ours is missing then */
	{
		static char junk[65536];
		char path[256];
		int fd;

		memset(junk, 1, sizeof(junk));
		snprintf(path, sizeof(path), "%s/hog", rundir);
		fd = open(path, O_WRONLY | O_CREAT, 0600);
		CHECK(fd >= 0);
		while (write(fd, junk, sizeof(junk)) > 0)
			;
		while (write(fd, junk, 1) > 0)
			;
		CHECK_EQ(errno, ENOSPC);
		close(fd);
	}
	ram = vm_map_gpa(ctx, 0, 8 * MB);
	CHECK(ram != NULL);
	for (size_t i = 0; i < 8 * MB; i += 4096)
		ram[i] = 1;			/* SIGBUS would end the case */
	memset(rom, 1, 1 * MB);
	for (int i = 0; i < VM_MAXCPU; i++)
		OK(vm_set_register(cpu(ctx, i), VM_AMD64_REG_RAX, 1));
	vm_close(ctx);
	ctx = open_vm("x");
	CHECK_EQ(vm_get_lowmem_size(ctx), 8 * MB);
	vm_destroy(ctx);
}
