/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * shrink.c - makes a mismatch easier to read: whatever of its registers and memory can be made
 * plain without the mismatch going away is made plain.
 */
#include <string.h>

#include "diff.h"

struct try {
	struct diff_session *s;
	struct diff_case *best;
	struct diff_case c;		/* best with one change */
	struct diff_result *native, *soft;
	const char	*what;		/* the mismatch that has to stay */
};

bool
diff_once(struct diff_session *s, const struct diff_case *c, struct diff_result *native,
    struct diff_result *soft, const char **what)
{
	const char *why;

	s->shared->cases[0] = *c;
	s->shared->ncases = 1;
	if (host_run(s->host, &why) != 0)
		return (false);
	*native = s->shared->native[0];
	if (soft_case(s->soft, s->shared->window, c, soft, &why) != 0)
		return (false);
	*what = diff_compare(c, native, soft);
	return (true);
}

/* Keep the change if the same is still different, else undo it. */
static void
keep(struct try *t)
{
	struct diff_result native, soft;
	const char *what;

	if (memcmp(&t->c, t->best, sizeof(t->c)) == 0)
		return;
	if (!diff_once(t->s, &t->c, &native, &soft, &what) || what == NULL || strcmp(what, t->what) != 0) {
		t->c = *t->best;
		return;
	}
	*t->best = t->c;
	*t->native = native;
	*t->soft = soft;
}

void
diff_shrink(struct diff_session *s, struct diff_case *c, struct diff_result *native,
    struct diff_result *soft)
{
	static struct try t;

	t = (struct try){ .s = s, .best = c, .c = *c, .native = native, .soft = soft };
	if (!diff_once(s, c, native, soft, &t.what) || t.what == NULL)
		return;
	for (unsigned i = 0; i < 16; i++) {
		t.c.gpr[i] = i == D_RSP ? DIFF_STACK + DIFF_PAGE / 2 : 0;
		keep(&t);
		memset(t.c.fx.xmm[i], 0, sizeof(t.c.fx.xmm[i]));
		keep(&t);
	}
	for (unsigned i = 0; i < 8; i++) {
		memset(t.c.fx.st[i], 0, sizeof(t.c.fx.st[i]));
		keep(&t);
	}
	t.c.rflags = 2 | EFL_IF;
	keep(&t);
	for (unsigned i = 0; i < 22; i++) {
		if (i == 9 || i == 1)
			continue;
		t.c.rflags &= ~(1ULL << i);
		keep(&t);
	}
	t.c.fx.fcw = 0x37f;
	keep(&t);
	t.c.fx.fsw = 0;
	keep(&t);
	t.c.fx.ftw = 0xff;
	keep(&t);
	t.c.fx.mxcsr = 0x1f80;
	keep(&t);
	t.c.fs_base = 0;
	keep(&t);
	t.c.gs_base = 0;
	keep(&t);
	while (t.c.npatch != 0) {
		unsigned had = t.c.npatch--;

		keep(&t);
		if (t.c.npatch == had)
			break;
	}
}
