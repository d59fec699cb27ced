/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * diff.h - the differential fuzzer: what its parts share.
 *
 * A case is one user-mode instruction with everything that it can see: registers, x87 and SSE
 * state, segment bases, a page of code, windows of memory.  gen.c makes cases, native.c (a program
 * of its own, in a sandbox) lets the host's processor execute them, soft.c the soft amd64 core;
 * compare.c says whether the two results are the same, but for what exceptions.c excuses.
 *
 * The code page is full of INT3, so that wherever an instruction goes on, a breakpoint ends the
 * case and tells where: both sides see each case end with an exception.
 */
#ifndef _TESTS_DIFF_H_
#define	_TESTS_DIFF_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define	DIFF_PAGE	4096U

/* Linear addresses, the same on both sides; the pages around them are not mapped. */
#define	DIFF_CODE	0x10001000U	/* one page: read, execute */
#define	DIFF_DATA	0x20001000U	/* one page to read, two to write */
#define	DIFF_RW		(DIFF_DATA + DIFF_PAGE)
#define	DIFF_STACK	0x30001000U	/* one page to write */
/* Windows in the order in which DIFF_DATA and DIFF_STACK have them. */
#define	DIFF_NPAGES	4U
#define	DIFF_WINDOW	(DIFF_NPAGES * DIFF_PAGE)
#define	DIFF_LINE	64U		/* unit of comparing memory */
#define	DIFF_NLINES	(DIFF_WINDOW / DIFF_LINE)

/* Selectors as Linux has them: native code runs on the host's descriptor table. */
#define	DIFF_CS32	0x23U
#define	DIFF_DS		0x2bU
#define	DIFF_CS64	0x33U

#define	DIFF_MAXLEN	15U
#define	DIFF_NPATCH	3U
#define	DIFF_POOL	640U		/* bytes of all patches of a case */

/* CPU exception vectors (SDM vol. 3 table 6-1). */
enum {
	VEC_DE = 0,
	VEC_DB = 1,
	VEC_BP = 3,
	VEC_OF = 4,
	VEC_BR = 5,
	VEC_UD = 6,
	VEC_DF = 8,
	VEC_NP = 11,
	VEC_SS = 12,
	VEC_GP = 13,
	VEC_PF = 14,
	VEC_MF = 16,
	VEC_AC = 17,
	VEC_XM = 19,
	VEC_NONE = 0xff /* the processor did not come back */
};

enum { D_ES, D_CS, D_SS, D_DS, D_FS, D_GS, D_NSEG };
enum { D_RAX, D_RCX, D_RDX, D_RBX, D_RSP, D_RBP, D_RSI, D_RDI };

#define	EFL_CF	0x00000001U
#define	EFL_PF	0x00000004U
#define	EFL_AF	0x00000010U
#define	EFL_ZF	0x00000040U
#define	EFL_SF	0x00000080U
#define	EFL_TF	0x00000100U
#define	EFL_IF	0x00000200U
#define	EFL_DF	0x00000400U
#define	EFL_OF	0x00000800U
#define	EFL_NT	0x00004000U
#define	EFL_RF	0x00010000U
#define	EFL_AC	0x00040000U
#define	EFL_ID	0x00200000U
#define	EFL_ARITH (EFL_CF | EFL_PF | EFL_AF | EFL_ZF | EFL_SF | EFL_OF)

/* An FXSAVE image in the format with REX.W (SDM vol. 1 10.5.1). */
struct diff_fx {
	uint16_t	fcw, fsw;
	uint8_t		ftw, pad;
	uint16_t	fop;
	uint64_t	fip, fdp;
	uint32_t	mxcsr, mxcsr_mask;
	uint8_t		st[8][16];	/* ST(0) first */
	uint8_t		xmm[16][16];
	uint8_t		rest[96];
};

struct diff_case {
	struct diff_fx	fx;		/* FXRSTOR wants 16-byte alignment */
	uint64_t	gpr[16];
	uint64_t	rip, rflags, fs_base, gs_base;
	uint16_t	seg[D_NSEG];
	uint8_t		mode;		/* 32, 64 */
	uint8_t		len;		/* of the instruction; cut off by the page's end */
	uint8_t		code[DIFF_MAXLEN];
	uint8_t		skip;		/* the host hangs */
	uint8_t		npatch;
	uint16_t	used;		/* of pool */
	struct {
		uint16_t	off;	/* in the windows */
		uint16_t	len;
		uint16_t	from;	/* in pool */
	} patch[DIFF_NPATCH];
	uint8_t		pool[DIFF_POOL];
	/* for comparing and reporting */
	uint16_t	mnemonic;	/* ZYDIS_MNEMONIC_*; 0: Zydis knows none */
	uint64_t	number;
} __attribute__((aligned(64)));

#define	DIFF_KEPT	24U		/* changed lines that a result keeps */

struct diff_result {
	struct diff_fx	fx;
	uint64_t	gpr[16];
	uint64_t	rip, rflags, fs_base, gs_base, cr2;
	uint32_t	vector, error;
	uint16_t	seg[D_NSEG];
	uint16_t	nchanged;	/* lines that differ from the windows' common content */
	uint64_t	hash;		/* of all of them */
	struct {
		uint16_t	line;
		uint8_t		data[DIFF_LINE];
	} changed[DIFF_KEPT];
} __attribute__((aligned(64)));

#define	DIFF_BATCH	256U

/* What the two processes share. */
struct diff_shared {
	uint32_t	 ncases;
	volatile uint32_t at;		/* the one that is being executed */
	uint8_t		 window[DIFF_WINDOW] __attribute__((aligned(64)));	/* common content */
	struct diff_case cases[DIFF_BATCH];
	struct diff_result native[DIFF_BATCH];
};

/* File descriptors of the native program. */
#define	DIFF_FD_SHARED	3
#define	DIFF_FD_CODE	4
#define	DIFF_FD_GO	5
#define	DIFF_FD_DONE	6

/* window.c: linked into both programs */
/* Note the lines of mem that differ from the common content, and put that back. */
/* Do the host's processor and kernel have RDFSBASE and its likes?  Without them a selector that is not null has base 0. */
bool diff_fsgsbase(void);
/* Has the kernel a 32-bit code segment for users, DIFF_CS32? */
bool diff_cs32(void);
/* Is the host's processor Intel's? */
bool diff_intel(void);
void diff_collect(const uint8_t *common, uint8_t *const page[DIFF_NPAGES], struct diff_result *r);
void	diff_patch(const struct diff_case *c, uint8_t *const page[DIFF_NPAGES]);

/* host.c: the native program as seen from outside */
struct diff_host;
struct diff_host *host_start(const char *program, struct diff_shared **shared, const char **why);
/*
 * Execute the batch: 0; 1 if case shared->at hangs, and the program was started again; -1 and the
 * reason.
 */
int	host_run(struct diff_host *host, const char **why);
void	host_stop(struct diff_host *host);

/* gen.c */
struct gen;
struct gen *gen_new(unsigned mode);
void	gen_free(struct gen *g);
/* Only mnemonics whose names contain this. */
bool	gen_only(struct gen *g, const char *name);
void	gen_window(uint64_t seed, uint8_t window[DIFF_WINDOW]);
/* Case `number' of `seed': depends on nothing else. */
void	gen_case(struct gen *g, uint64_t seed, uint64_t number, const uint8_t *window,
	    struct diff_case *c);

/* soft.c */
struct soft;
struct soft *soft_start(const char **why);
/* The windows' common content, from here on. */
void	soft_window(struct soft *s, const uint8_t *window);
int	soft_case(struct soft *s, const uint8_t *window, const struct diff_case *c,
	    struct diff_result *r, const char **why);
void	soft_stop(struct soft *s);

/* exceptions.c: the list, and how many cases each was about until now */
void	exceptions_print(void);

/* Both sides. */
struct diff_session {
	struct diff_host *host;
	struct diff_shared *shared;
	struct soft	*soft;
};

/* shrink.c */
/* Execute one case on both sides; *what is what differs, or NULL.  False: one of them did not run it. */
bool	diff_once(struct diff_session *s, const struct diff_case *c, struct diff_result *native,
	    struct diff_result *soft, const char **what);
/* Make the case plainer as long as it differs in the same way; native and soft: its results. */
void	diff_shrink(struct diff_session *s, struct diff_case *c, struct diff_result *native,
	    struct diff_result *soft);

/* compare.c */
/* NULL if they agree, else what differs. */
const char *diff_compare(const struct diff_case *c, const struct diff_result *n,
	    const struct diff_result *s);
/* In full; in one line. */
void	diff_print(const struct diff_case *c, const struct diff_result *n,
	    const struct diff_result *s);
void	diff_print_line(const struct diff_case *c, const struct diff_result *n,
	    const struct diff_result *s);

#endif /* _TESTS_DIFF_H_ */
