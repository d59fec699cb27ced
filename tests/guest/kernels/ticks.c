/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ticks.c - a kernel that counts the ticks of a machine's timers.
 *
 * The command line has "slow" (10 to 20 ticks a second) or "fast" (each timer about 1 kHz), and how many seconds, a digit each in
 * hexadecimal: "slow 0a".  On the console comes a line per timer: name, ticks, period, the time that it ran for, at least and at most, and
 * how many ticks were early; then what its registers say is left of the period, and how much later than that time they were
 * read; then for how long at a time the processor stood, by the clock; all hexadecimal, in the units of tests/guest/ticks.py.
 * Then it ends.
 */
#include "ticks.h"
#include "put.h"

#define	GAPS	512

bool fast;
unsigned current_round;

/* Times in which the host ran something else, of a fortieth of a second and longer. */
static uint64_t gaps[GAPS];
static unsigned ngaps;

static uint32_t
hex(char c)
{
	return (c >= '0' && c <= '9' ? (uint32_t)(c - '0') : (uint32_t)(c - 'a') + 10);
}

/* The command line's words, behind whatever the loader put before; the seconds. */
static uint32_t
parse(const char *words)
{
	while (*words != '\0' && !(words[0] == ' ' && (words[1] == 's' || words[1] == 'f')))
		words++;
	words += *words == ' ';
	fast = words[0] == 'f';
	return (hex(words[5]) << 4 | hex(words[6]));
}

void
ticked(struct timer *t)
{
	t->ticks++;
	if (t->clocked && clock_now() < t->before + t->stopped + (uint64_t)t->ticks * t->period[fast])
		t->early++;
}

/* Whether a tick that was due at that time is still to be taken. */
static bool
due(unsigned round, uint64_t then)
{
	for (unsigned i = 0; i < ntimers; i++) {
		if (timers[i].round == round && timer_due(&timers[i], then))
			return (true);
	}
	return (false);
}

/* Let the timers of a round run; the time up to which all of their ticks were taken. */
static uint64_t
run(unsigned round, uint32_t seconds)
{
	uint64_t end, now, last;

	current_round = round;
	for (struct timer *t = timers; t < timers + ntimers; t++) {
		if (t->round != round)
			continue;
		t->before = clock_now();
		timer_start(t, t->period[fast]);
		t->after = clock_now();
	}
	end = last = clock_now();
	for (uint32_t i = 0; i < seconds * 10; i++)
		end += clock_tenth;
	interrupts_on();
	while ((now = clock_now()) < end) {
		if (now - last >= clock_tenth / 4 && ngaps < GAPS)
			gaps[ngaps++] = now - last;
		last = now;
	}
	if (now - last >= clock_tenth / 4 && ngaps < GAPS)
		gaps[ngaps++] = now - last;
	/* The host may have let the processor wait just now. */
	while (due(round, now) && clock_now() - now < 10ULL * clock_tenth)
		;
	interrupts_off();
	return (now);
}

/* Say what was counted in a round that has just ended: all ticks until then, and perhaps some that came later. */
static void
report(unsigned round, uint64_t then)
{
	uint64_t now = clock_now(), late[8];
	uint32_t left[8];

	for (unsigned i = 0; i < ntimers; i++) {
		if (timers[i].round != round || !timers[i].down)
			continue;
		left[i] = timer_left(&timers[i], timers[i].period[fast], now);
		late[i] = clock_now() - now;
	}
	for (unsigned i = 0; i < ntimers; i++) {
		const struct timer *t = &timers[i];

		if (t->round != round)
			continue;
		put(t->name);
		put_hex(t->ticks);
		put_hex(t->period[fast]);
		put_hex(then - t->after - t->stopped);
		put_hex(now - t->before - t->stopped);
		put_hex(t->early);
		put("\n");
		if (!t->down)
			continue;
		put(t->name);
		put("-left");
		put_hex(left[i]);
		put_hex(late[i]);
		put("\n");
	}
}

void
kernel(const void *boot)
{
	uint32_t seconds = parse(machine_init(boot));

	for (unsigned round = 0; round < nrounds; round++) {
		report(round, run(round, seconds));
	}
	put("gaps");
	for (unsigned i = 0; i < ngaps; i++)
		put_hex(gaps[i]);
	put("\nclock");
	put_hex(clock_counts);
	put_hex(clock_femto);
	put("\nend\n");
	machine_end();
}
