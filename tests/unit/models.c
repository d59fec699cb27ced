/* SPDX-License-Identifier: BSD-2-Clause */
/* What amd64 guests are shown of their processor: who can be a model, who can take a guest over, and who may use /dev/kvm at all. */
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vmmapi.h>

#include "amd64/model.h"
#include "kvm/kvm_irq.h"
#include "test.h"

TEST(a_host_that_lacks_something_is_told_what)
{
	const struct x86_model *baseline = amd64_model("baseline");

	CHECK(baseline != NULL);
	CHECK_EQ(amd64_model_fit(baseline, baseline->need, "kvm"), 0);
	CHECK_EQ(amd64_model_fit(baseline, baseline->need & ~(uint64_t)(X86_F_MOVBE | X86_F_SSE42), "kvm"), -1);
	CHECK_EQ(errno, ENOTSUP);
	CHECK_STR(vm_errmsg(), "kvm: processor model baseline needs SSE4.2, MOVBE, which this host does not have");
	/* Everything that it may or may not have would tell hosts apart. */
	CHECK_EQ(baseline->may, 0);
	CHECK_EQ(amd64_model("baseline-v1")->may, 0);
	CHECK_EQ(amd64_model("baseline-v1")->need, 0);
	CHECK(amd64_model("host") == NULL);
	CHECK(amd64_model(NULL) == NULL);
}

TEST(a_guest_finds_all_that_it_has_seen)
{
	uint32_t seen[AMD64_NWORDS] = { 0 }, here[AMD64_NWORDS] = { 0 };

	seen[W1_ECX] = here[W1_ECX] = 1U << 20;
	CHECK_EQ(amd64_words_check(seen, here), 0);
	here[W7_EBX] = 1U << 11;			/* more is no harm */
	CHECK_EQ(amd64_words_check(seen, here), 0);
	seen[W1_ECX] |= 1U << 27;			/* OSXSAVE follows CR4 */
	CHECK_EQ(amd64_words_check(seen, here), 0);
	seen[W7_EBX] = 1U << 8;
	seen[WX1_ECX] = 1U << 21;
	CHECK_EQ(amd64_words_check(seen, here), -1);
	CHECK_HAS(vm_errmsg(), "BMI2, bit 21 of CPUID leaf 80000001h, ECX");
	CHECK_HAS(vm_errmsg(), "cpu.model=baseline");
	CHECK_EQ(amd64_immune_check(1, 1 | 1ULL << 24), 0);
	CHECK_EQ(amd64_immune_check(1 | 1ULL << 5 | 1ULL << 1, 1), -1);
	CHECK_HAS(vm_errmsg(), "it was told MDS_NO (");
}

/* CPUID leaf 0DH of a model: EAX, EBX, ECX of a subleaf. */
static void
leafd_is(struct vmctx *vm, const char *model, uint64_t more, const struct amd64_state *st, uint32_t sub, uint32_t a, uint32_t b, uint32_t c)
{
	const struct x86_model *m = amd64_model(model);
	const struct vcpu vcpu = { .vm = vm };
	const struct amd64_shown shown = { .vcpu = &vcpu, .model = m, .features = m->need | more, .st = st };
	uint32_t r[4];

	amd64_cpuid(&shown, 0xd, sub, r);
	CHECKF(r[0] == a && r[1] == b && r[2] == c && r[3] == 0, "%s, subleaf %u: %x %u %u %x", model, sub, r[0], r[1], r[2], r[3]);
}

TEST(extended_state_is_where_the_host_has_it)
{
	struct vm_spec spec = { .size = sizeof(spec), .accel = VM_ACCEL_SOFT };
	struct vmctx *vm = vm_new(&spec);
	struct amd64_vm *av;
	static struct amd64_state st;
	uint32_t w[AMD64_NWORDS], old[3];

	CHECK(vm != NULL && (av = amd64_vm_get(vm)) != NULL);
	for (uint32_t sub = 0; sub < 9; sub++)
		leafd_is(vm, "v2", 0, NULL, sub, 0, 0, 0);
	leafd_is(vm, "v3", 0, NULL, 0, 7, 832, 832);
	leafd_is(vm, "v3", 0, NULL, 1, 0, 0, 0);
	leafd_is(vm, "v3", X86_F_XSAVEOPT | X86_F_XGETBV1, NULL, 1, 5, 0, 0);
	leafd_is(vm, "v3", 0, NULL, 2, 256, 576, 0);
	leafd_is(vm, "v3", 0, NULL, 5, 0, 0, 0);
	/* Where one maker has MPX between, and where the other has no gap. */
	memcpy(av->xsave_here, (const uint32_t[3]){ 1088, 1152, 1664 }, sizeof(av->xsave_here));
	leafd_is(vm, "v4", 0, NULL, 0, 0xe7, 2688, 2688);
	leafd_is(vm, "v4", 0, NULL, 6, 512, 1152, 0);
	memcpy(av->xsave_here, (const uint32_t[3]){ 832, 896, 1408 }, sizeof(av->xsave_here));
	leafd_is(vm, "v4", 0, NULL, 5, 64, 832, 0);
	leafd_is(vm, "v4", 0, NULL, 7, 1024, 1408, 0);
	leafd_is(vm, "v4", 0, NULL, 8, 0, 0, 0);
	/* EBX is about what XCR0 has now. */
	st.xcr0 = 1;
	leafd_is(vm, "v4", 0, &st, 0, 0xe7, 576, 2432);
	st.xcr0 = 7;
	leafd_is(vm, "v4", 0, &st, 0, 0xe7, 832, 2432);
	/* The psABI's level is there, and said to be. */
	{
		const struct vcpu vcpu = { .vm = vm };
		const struct amd64_shown v3 = { .vcpu = &vcpu, .model = amd64_model("v3"), .features = amd64_model("v3")->need };

		amd64_words(&v3, w);
		CHECK_EQ(w[W1_ECX] & 0x34401000, 0x34401000);	/* F16C AVX XSAVE MOVBE FMA */
		CHECK_EQ(w[W7_EBX] & 0x128, 0x128);		/* BMI2 AVX2 BMI1 */
		CHECK_EQ(w[WX1_ECX] & 0x20, 0x20);		/* LZCNT */
		CHECK_EQ(w[WD_EAX], 7);
		CHECK_EQ(amd64_features(w), amd64_model("v3")->need);
	}
	/* Images that the guest has made must be the same elsewhere. */
	memcpy(old, av->xsave_here, sizeof(old));
	CHECK_EQ(amd64_xsave_check(old, av->xsave_here), 0);
	CHECK_EQ(amd64_xsave_check((const uint32_t[3]){ 0, 0, 0 }, old), 0);
	old[1] = 1152;
	CHECK_EQ(amd64_xsave_check(old, av->xsave_here), -1);
	CHECK_HAS(vm_errmsg(), "images of XSAVE have ZMM0 to ZMM15 at 1152, where this host's processor has them at 896");
	vm_close(vm);
}

/* soft has no such registers: it says so before anything is made. */
TEST(soft_is_no_v3)
{
	struct vm_spec spec = { .size = sizeof(spec), .accel = VM_ACCEL_SOFT };
	uint32_t seen[AMD64_NWORDS] = { 0 }, here[AMD64_NWORDS] = { 0 };
	struct vmctx *vm;

	for (unsigned i = 0; i < 2; i++) {
		CHECK((vm = vm_new(&spec)) != NULL && vm_vcpu_open(vm, 0) != NULL);
		CHECK_EQ(vm_set_cpu_model(vm, i == 0 ? "v3" : "v4"), 0);
		CHECK_EQ(vm_start(vm), -1);
		CHECK_EQ(errno, ENOTSUP);
		CHECK_HAS(vm_errmsg(), i == 0 ? "soft: it has no processor model v3, which needs AVX" : "soft: it has no processor model v4");
		CHECK_EQ(vm_set_cpu_model(vm, "v2"), 0);
		CHECKF(vm_start(vm) == 0, "%s", vm_errmsg());
		vm_close(vm);
	}
	seen[W1_ECX] = 1U << 28;
	seen[WD_EAX] = 0xe7;
	here[WD_EAX] = 3;
	CHECK_EQ(amd64_words_check(seen, here), -1);
	CHECK_HAS(vm_errmsg(), "AVX, YMM registers, opmask registers, ZMM0 to ZMM15, ZMM16 to ZMM31");
	CHECK_EQ(amd64_model_fit(amd64_model("v4"), amd64_model("v3")->need, "kvm"), -1);
	CHECK_STR(vm_errmsg(), "kvm: processor model v4 needs AVX512F, AVX512DQ, AVX512CD, AVX512BW, AVX512VL, which this host does not have");
}

/* By streams: a guest that was shown more than soft's model has does not come there, whatever else is right. */
TEST(a_stream_of_another_processor_is_refused)
{
	struct vm_spec spec = { .size = sizeof(spec), .accel = VM_ACCEL_SOFT };
	static const char *const models[] = { "v2", "v2", "v1" };
	struct vm_state_out *out;
	struct vm_state_in *in;
	struct amd64_vm *av;
	struct vmctx *a, *b;
	const void *data;
	size_t len;

	for (unsigned i = 0; i < 3; i++) {
		CHECK((a = vm_new(&spec)) != NULL && (b = vm_new(&spec)) != NULL);
		CHECK_EQ(vm_set_cpu_model(a, models[i]), 0);
		CHECK(vm_vcpu_open(a, 0) != NULL && vm_vcpu_open(b, 0) != NULL);
		CHECKF(vm_start(a) == 0, "%s", vm_errmsg());
		av = amd64_vm_get(a);
		if (i == 1)
			av->seen[W7_EBX] |= 1U << 11;
		if (i == 2)
			av->immune_seen |= 1ULL << 62 | 1ULL << 3, av->immune_here = 0;
		out = vm_state_out_open();
		CHECKF(vm_state_save(a, out) == 0, "%s", vm_errmsg());
		data = vm_state_out_data(out, &len);
		in = vm_state_in_open(data, len);
		if (i == 1) {
			CHECK_EQ(vm_state_load(b, in), -1);
			CHECK_EQ(errno, EILSEQ);
			CHECK_HAS(vm_errmsg(), "bit 11 of CPUID leaf 7h, EBX");
		} else
			CHECKF(vm_state_load(b, in) == 0, "%s", vm_errmsg());
		vm_state_in_close(in);
		vm_state_out_close(out);
		vm_close(a);
		vm_close(b);
	}
}

/* In a child without privileges: what kvm_open() says of a file. */
static void
denied(const char *path, const char *says)
{
	char why[512] = "";
	int p[2], status;
	pid_t pid;

	CHECK(pipe(p) == 0);
	pid = fork();
	if (pid == 0) {
		if (geteuid() == 0 && (setgroups(0, NULL) != 0 || setgid(65534) != 0 || setuid(65534) != 0))
			_exit(2);
		if (kvm_open(path) != -1 || errno != EACCES)
			_exit(3);
		_exit(write(p[1], vm_errmsg(), strlen(vm_errmsg())) > 0 ? 0 : 4);
	}
	(void)close(p[1]);
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECKF(WIFEXITED(status) && WEXITSTATUS(status) == 0, "child: %#x", (unsigned)status);
	CHECK(read(p[0], why, sizeof(why) - 1) > 0);
	(void)close(p[0]);
	CHECK_HAS(why, says);
}

TEST(who_may_use_kvm_is_told)
{
	char path[] = "/tmp/hyve-kvm.XXXXXX", says[128];
	int fd = mkstemp(path);
	struct group *g;

	CHECK(fd >= 0);
	CHECK_EQ(kvm_open("/nowhere/kvm"), -1);
	CHECK_EQ(errno, ENOENT);
	CHECK_HAS(vm_errmsg(), "there is no /nowhere/kvm");
	CHECK_EQ(kvm_open("/tmp"), -1);
	CHECK_EQ(errno, ENOTSUP);
	CHECK_HAS(vm_errmsg(), "/tmp cannot be opened: Is a directory");
	CHECK_EQ(fchmod(fd, 0600), 0);
	if (geteuid() != 0)
		CHECK_EQ(fchmod(fd, 0), 0);
	denied(path, "where a group of its own, such as 'kvm', and mode 660 would let the group's members in");
	/* The group's name is that of whoever owns it. */
	if (geteuid() == 0 && (g = getgrnam("daemon")) != NULL) {
		CHECK_EQ(fchown(fd, (uid_t)-1, g->gr_gid), 0);
		CHECK_EQ(fchmod(fd, 0660), 0);
		denied(path, "membership in the group 'daemon' would give access");
		CHECK_EQ(fchown(fd, (uid_t)-1, 3999999), 0);
		(void)snprintf(says, sizeof(says), "membership in group %u would give access", 3999999U);
		denied(path, says);
	}
	(void)close(fd);
	(void)unlink(path);
}

/* auto without any back end that can says why of each. */
TEST(auto_tells_both_reasons)
{
	struct vm_spec spec = { .size = sizeof(spec), .accel = VM_ACCEL_AUTO };
	struct vmctx *vm = vm_new(&spec);

	CHECK(vm != NULL);
	CHECK(vm_vcpu_open(vm, 0) != NULL);
	CHECK_EQ(vm_set_cpu_model(vm, "host"), 0);
	if (vm_start(vm) == 0)
		CHECK_HAS(vm_accel_reason(vm), "kvm, at hardware speed");
	else {
		CHECK_EQ(errno, ENOTSUP);
		CHECK_HAS(vm_errmsg(), "soft: it has no processor model host");
		CHECK_HAS(vm_errmsg(), "; and not kvm: kvm: ");
		/* The same host may be asked again, for a model that soft has. */
		CHECK_EQ(vm_set_cpu_model(vm, "baseline-v1"), 0);
		CHECKF(vm_start(vm) == 0, "%s", vm_errmsg());
		CHECK_HAS(vm_accel_reason(vm), "soft; not kvm: kvm: ");
	}
	vm_close(vm);
}

TEST_MAIN()
