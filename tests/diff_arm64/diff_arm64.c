/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * diff_arm64.c - the arm64 differential test: generated instructions under the oracle and by soft's arm64 processor, compared.
 *
 * As a test it runs a million cases, four of five from registers to registers and the others loads and stores; twenty million with
 * HYVE_TEST_LONG=1; the first argument may say how many instead.  By hand:
 *
 *	diff_arm64 --seed 7 --cases 100000		some others
 *	diff_arm64 --class fpvec_three --cases 100000	classes whose name contains this
 *	diff_arm64 --memory --cases 100000		loads and stores
 *	diff_arm64 --vm --cases 100000			the others in a virtual machine too
 *	diff_arm64 --list				classes
 *	diff_arm64 --exceptions				what is not compared, and why
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "diff_arm64.h"
#include "program.h"
#include "test.h"

struct test_case *test_first_, **test_last_;
const char *test_name_ = "?";

#define	CASES	1000000U
#define	SHOWN	20U

/* Classes that run together, and the oracle's processor for them: one without what came later. */
struct part {
	bool		 memory;
	bool		 vm;		/* in a virtual machine */
	const char	*processor;
};

/* Armv8.0 with its cryptography; Armv8.2, for LSE. */
static const struct part registers = { false, false, "cortex-a57" }, registers_vm = { false, true, "cortex-a57" };
static const struct part memory = { true, true, "neoverse-n1" };

struct options {
	uint64_t	 seed, cases;
	const char	*class;
	unsigned	 shown;
};

struct stats {
	uint64_t	ran[256], undefined[256], bad[256], cases, mismatches, stored;
	unsigned	shown;
};

static uint64_t per_run = CASES;

#define	ADDRESS		0x00ffffffffffffffULL	/* without the tag */

/* NULL: they agree.  out: the oracle's */
static const char *
compare(const struct arm_state *out, bool ours, const struct arm_state *soft, const struct excuse *e)
{
	if (e->skip || (e->fault && ours && out->signal == 0 && soft->signal != 0))
		return (NULL);
	if (!ours)
		return (out->signal == 0 ? "ours is undefined" : NULL);
	if (out->signal != soft->signal)
		return ("how it ends");
	if (((out->fault ^ soft->fault) & ADDRESS) != 0)
		return ("the faulting address");
	if (memcmp(out->x, soft->x, sizeof(out->x)) != 0 || out->sp != soft->sp)
		return ("general registers");
	if (memcmp(out->v, soft->v, sizeof(out->v)) != 0)
		return ("vectors");
	if (out->nzcv != soft->nzcv)
		return ("flags");
	return (((out->fpsr ^ soft->fpsr) & ~e->fpsr) != 0 ? "FPSR" : NULL);
}

static void
show_vector(const char *what, unsigned n, const uint64_t v[64])
{
	printf("  %-8s v%-2u %016llx_%016llx\n", what, n, (unsigned long long)v[2 * n + 1], (unsigned long long)v[2 * n]);
}

static void
show(uint32_t word, const struct arm_state *in, const struct arm_state *out, const struct arm_state *soft)
{
	unsigned rd = word & 31, rn = word >> 5 & 31, rm = word >> 16 & 31, ra = word >> 10 & 31;

	printf("  fpcr %08llx fpsr %08llx nzcv %llx\n", (unsigned long long)in->fpcr, (unsigned long long)in->fpsr,
	    (unsigned long long)in->nzcv >> 28);
	show_vector("Rd", rd, in->v);
	show_vector("Rn", rn, in->v);
	show_vector("Rm", rm, in->v);
	show_vector("Ra", ra, in->v);
	show_vector("oracle", rd, out->v);
	show_vector("ours", rd, soft->v);
	printf("  fpsr: oracle %08llx, ours %08llx; nzcv: oracle %llx, ours %llx; signal: %llu, %llu at %llx, %llx\n", (unsigned long long)out->fpsr,
	    (unsigned long long)soft->fpsr, (unsigned long long)out->nzcv >> 28, (unsigned long long)soft->nzcv >> 28,
	    (unsigned long long)out->signal, (unsigned long long)soft->signal, (unsigned long long)out->fault,
	    (unsigned long long)soft->fault);
	if (out->sp != soft->sp)
		printf("  sp: was %016llx, oracle %016llx, ours %016llx\n", (unsigned long long)in->sp, (unsigned long long)out->sp,
		    (unsigned long long)soft->sp);
	for (unsigned n = 0; n < 31; n++)
		if (out->x[n] != soft->x[n])
			printf("  x%u: was %016llx (Rn %016llx), oracle %016llx, ours %016llx\n", n, (unsigned long long)in->x[n],
			    rn < 31 ? (unsigned long long)in->x[rn] : 0, (unsigned long long)out->x[n], (unsigned long long)soft->x[n]);
}

static void
show_memory(const uint64_t *in, const uint64_t *out, const uint64_t *soft)
{
	for (unsigned n = 0; n < ARM_WINDOW_LEN / 8; n++)
		if (out[n] != soft[n])
			printf("  %08x: was %016llx, oracle %016llx, ours %016llx\n", ARM_WINDOW + 8 * n, (unsigned long long)in[n],
			    (unsigned long long)out[n], (unsigned long long)soft[n]);
}

static void
batch(const struct options *o, const struct arm_batch *b, const uint16_t class_of[ARM_WORDS], struct vm *vm, struct stats *st)
{
	static struct arm_state by_vm[ARM_CASES];
	static uint64_t mem[ARM_CASES][ARM_WINDOW_LEN / 8];

	if (vm != NULL)
		vm_side_run(vm, b, by_vm, mem);
	for (uint32_t i = 0; i < ARM_CASES; i++) {
		uint32_t word = b->word[i / ARM_SETS];
		unsigned k = class_of[i / ARM_SETS];
		struct arm_state soft;
		struct excuse e;
		const char *what;
		bool ours = true;

		if (vm == NULL)
			ours = soft_run(word, &b->in[i], &soft);
		else
			soft = by_vm[i];
		exceptions_apply(word, &b->in[i], &e);
		what = compare(&b->out[i], ours, &soft, &e);
		if (what == NULL && b->memory != 0 && memcmp(b->mem_out[i], mem[i], ARM_WINDOW_LEN) != 0)
			what = "memory";
		st->stored += b->memory != 0 && memcmp(b->mem_in[i], mem[i], ARM_WINDOW_LEN) != 0;
		st->cases++;
		st->ran[k]++;
		st->undefined[k] += b->out[i].signal != 0;
		if (what == NULL)
			continue;
		st->mismatches++;
		if (st->bad[k]++ >= 3 || st->shown >= o->shown)
			continue;
		st->shown++;
		printf("mismatch: %s: word %08x of %s (%s)\n", what, word, classes[k].name, classes[k].mnemonics);
		show(word, &b->in[i], &b->out[i], &soft);
		if (b->memory != 0)
			show_memory(b->mem_in[i], b->mem_out[i], mem[i]);
	}
}

static void
print_stats(const struct options *o, const struct stats *st, double seconds)
{
	unsigned n = 0;

	for (unsigned k = 0; k < nclasses; k++)
		n += st->ran[k] != 0;
	printf("# %llu cases of seed %llu, %u classes, %llu mismatches, %.1f s\n", (unsigned long long)st->cases,
	    (unsigned long long)o->seed, n, (unsigned long long)st->mismatches, seconds);
	for (unsigned k = 0; k < nclasses; k++)
		if (st->bad[k] != 0)
			printf("#   %s: %llu of %llu, %llu undefined\n", classes[k].name, (unsigned long long)st->bad[k],
			    (unsigned long long)st->ran[k], (unsigned long long)st->undefined[k]);
}

static int
run(const struct options *o, const struct part *part, struct stats *st, const char **why)
{
	static uint16_t class_of[ARM_WORDS];
	struct arm_batch *b = NULL;
	struct oracle *oracle;
	struct vm *vm = NULL;
	bool wanted[256] = { false }, any = false;
	double start = now();
	int error = -1;

	for (unsigned k = 0; k < nclasses; k++)
		any |= wanted[k] = (classes[k].group == GROUP_MEM) == part->memory && (o->class == NULL || strstr(classes[k].name, o->class) != NULL);
	*why = "no such class";
	if (!any || (oracle = oracle_start(HYVE_ARM64_EMULATOR, part->processor, beside("diff-arm64-oracle"), &b, why)) == NULL)
		return (-1);
	if (part->vm)
		vm = vm_side_open();
	for (uint64_t n = 0; n < (o->cases + ARM_CASES - 1) / ARM_CASES; n++) {
		gen_batch(o->seed, n, wanted, b, class_of);
		if (oracle_run(oracle, why) != 0)
			goto out;
		batch(o, b, class_of, vm, st);
	}
	error = 0;
out:
	if (vm != NULL)
		vm_side_close(vm);
	oracle_stop(oracle);
	print_stats(o, st, now() - start);
	return (error);
}

static void
agrees(const struct part *part, uint64_t cases)
{
	struct options o = { .seed = 1, .cases = cases * (unsigned)test_long(20), .shown = SHOWN };
	static struct stats st;
	const char *why = "";

	if (run(&o, part, &st, &why) != 0) {
		if (strncmp(why, "skip: ", 6) == 0)
			SKIP(why + 6);
		FAIL("%s", why);
	}
	CHECK(!part->memory || st.stored > st.cases / 10);
	CHECKF(st.mismatches == 0, "%llu of %llu cases differ", (unsigned long long)st.mismatches, (unsigned long long)st.cases);
}

/* Generated instructions do what they do under the oracle: from registers to registers, by soft's functions. */
TEST(arm64_user)
{
	agrees(&registers, per_run / 5 * 4);
}

/* Loads and stores, in a virtual machine. */
TEST(arm64_memory)
{
	agrees(&memory, per_run / 5);
}

/* The same as native code, every block of which is made at once: HYVE_JIT. */
TEST(arm64_native_user)
{
	CHECK_EQ(setenv("HYVE_JIT", "0", 1), 0);
	agrees(&registers_vm, per_run / 10);
}

TEST(arm64_native_memory)
{
	CHECK_EQ(setenv("HYVE_JIT", "0", 1), 0);
	agrees(&memory, per_run / 20);
}

static void
list(void)
{
	for (unsigned k = 0; k < nclasses; k++)
		printf("%-16s %s\n", classes[k].name, classes[k].mnemonics);
}

static int
usage(const char *self)
{
	fprintf(stderr, "usage: %s [CASES | --memory | --vm --seed N --cases N --class X --shown N | --list | --exceptions]\n", self);
	return (2);
}

static int
by_hand(int argc, char **argv)
{
	struct options o = { .seed = 1, .cases = 100000, .shown = SHOWN };
	const struct part *part = &registers;
	static struct stats st;
	const char *why = "";

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--exceptions") == 0) {
			exceptions_print();
			return (0);
		}
		if (strcmp(argv[i], "--list") == 0) {
			list();
			return (0);
		}
		if (strcmp(argv[i], "--memory") == 0) {
			part = &memory;
			continue;
		}
		if (strcmp(argv[i], "--vm") == 0) {
			part = &registers_vm;
			continue;
		}
		if (i + 1 == argc)
			return (usage(argv[0]));
		if (strcmp(argv[i], "--seed") == 0)
			o.seed = strtoull(argv[++i], NULL, 0);
		else if (strcmp(argv[i], "--cases") == 0)
			o.cases = strtoull(argv[++i], NULL, 0);
		else if (strcmp(argv[i], "--class") == 0)
			o.class = argv[++i];
		else if (strcmp(argv[i], "--shown") == 0)
			o.shown = (unsigned)strtoul(argv[++i], NULL, 0);
		else
			return (usage(argv[0]));
	}
	if (run(&o, part, &st, &why) != 0) {
		fprintf(stderr, "%s: %s\n", argv[0], why);
		return (1);
	}
	return (st.mismatches != 0);
}

int
main(int argc, char **argv)
{
	if (argc > 1 && strncmp(argv[1], "--", 2) == 0)
		return (by_hand(argc, argv));
	if (argc > 1 && argv[1][0] >= '0' && argv[1][0] <= '9') {
		per_run = strtoull(argv[1], NULL, 0);
		argv[1] = argv[0];
		argc--;
		argv++;
	}
	return (test_main_(argc, argv));
}
