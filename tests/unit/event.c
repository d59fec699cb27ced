/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * event.c - the event loop: descriptors, timers, posts, removal from anywhere, and drain.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>

#include "error.h"
#include "event/event.h"
#include "test.h"

static struct event_loop *loop;
static _Atomic int calls;
static unsigned seen;
static struct event *ev, *ev2;

static void
setup(void)
{
	loop = event_loop_new();
	CHECK(loop != NULL);
}

static void
count_fd(void *arg, unsigned what)
{
	char c;

	seen = what;
	calls++;
	if (arg != NULL)
		CHECK(read(*(int *)arg, &c, 1) >= 0);
}

static void
count(void *arg)
{
	calls++;
}

static void
stop(void *arg)
{
	calls++;
	event_loop_stop(loop);
}

TEST(descriptors_are_watched_for_what_was_asked)
{
	int sv[2];

	setup();
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	ev = event_fd_add(loop, sv[0], EVENT_READ, count_fd, &sv[0]);
	CHECK(ev != NULL);
	event_loop_once(loop, 0);
	CHECK_EQ(calls, 0);
	CHECK_EQ(write(sv[1], "xy", 2), 2);
	event_loop_once(loop, 0);
	CHECK_EQ(calls, 1);
	CHECK_EQ(seen, EVENT_READ);
	event_fd_set(ev, 0);
	event_loop_once(loop, 0);
	CHECK_EQ(calls, 1);
	event_fd_set(ev, EVENT_READ | EVENT_WRITE);
	event_loop_once(loop, 0);
	CHECK_EQ(calls, 2);
	CHECK_EQ(seen, EVENT_READ | EVENT_WRITE);
	/* Hang-up counts as readable, and is silent when nothing is watched. */
	event_fd_set(ev, 0);
	close(sv[1]);
	event_loop_once(loop, 0);
	CHECK_EQ(calls, 2);
	event_fd_set(ev, EVENT_READ);
	event_loop_once(loop, 0);
	CHECK_EQ(calls, 3);
	CHECK(event_fd_add(loop, sv[0], EVENT_READ, count_fd, NULL) == NULL);
	CHECK_EQ(errno, EEXIST);
	event_remove(ev);
	close(sv[0]);
	CHECK(event_fd_add(loop, sv[0], EVENT_READ, count_fd, NULL) == NULL);
	CHECK_EQ(errno, EBADF);
	CHECK_HAS(vmm_errmsg(), "event loop: cannot watch descriptor");
	event_loop_free(loop);
}

TEST(files_are_always_ready)
{
	FILE *f = tmpfile();
	int tmp = fileno(f);

	setup();
	ev = event_fd_add(loop, tmp, EVENT_WRITE, count_fd, NULL);
	CHECKF(ev != NULL, "%s", vmm_errmsg());
	event_loop_once(loop, -1);
	event_loop_once(loop, -1);
	CHECK_EQ(calls, 2);
	event_fd_set(ev, 0);
	event_loop_once(loop, 0);
	CHECK_EQ(calls, 2);
	event_fd_set(ev, EVENT_READ);
	event_loop_once(loop, -1);
	CHECK_EQ(calls, 3);
	event_remove(ev);
	event_loop_once(loop, 0);
	CHECK_EQ(calls, 3);
	fclose(f);
	event_loop_free(loop);
}

TEST(timers_fire_once_and_in_order)
{
	setup();
	ev = event_timer_add(loop, count, NULL);
	ev2 = event_timer_add(loop, stop, NULL);
	event_timer_arm(ev2, 20000000);
	event_timer_arm(ev, 1000000);
	CHECK_EQ(event_loop_run(loop), 0);
	CHECK_EQ(calls, 2);
	event_timer_arm(ev, 1000000);
	event_timer_disarm(ev);
	event_timer_arm(ev2, 0);
	CHECK_EQ(event_loop_run(loop), 0);
	CHECK_EQ(calls, 3);
	event_timer_arm(ev, UINT64_MAX);
	event_loop_once(loop, 0);
	CHECK_EQ(calls, 3);
	event_loop_free(loop);		/* frees what is left */
}

static void
rearm(void *arg)
{
	if (++calls < 5)
		event_timer_arm(ev, 0);
	else
		event_loop_stop(loop);
}

TEST(timers_rearm_from_their_callback)
{
	setup();
	ev = event_timer_add(loop, rearm, NULL);
	event_timer_arm(ev, 0);
	CHECK_EQ(event_loop_run(loop), 0);
	CHECK_EQ(calls, 5);
	event_remove(ev);
	event_loop_free(loop);
}

static void
remove_both(void *arg, unsigned what)
{
	calls++;
	event_remove(ev);
	event_remove(ev2);
}

TEST(callbacks_remove_themselves_and_others)
{
	int a = eventfd(1, EFD_NONBLOCK), b = eventfd(1, EFD_NONBLOCK);

	setup();
	/* Both are ready in the same round; whoever comes first removes both. */
	ev = event_fd_add(loop, a, EVENT_READ, remove_both, NULL);
	ev2 = event_fd_add(loop, b, EVENT_READ, remove_both, NULL);
	event_loop_once(loop, 0);
	CHECK_EQ(calls, 1);
	event_loop_once(loop, 0);
	CHECK_EQ(calls, 1);
	close(a);
	close(b);
	event_loop_free(loop);
}

static void
remove_timers(void *arg)
{
	calls++;
	event_remove(ev);
	event_remove(ev2);
}

TEST(timers_remove_themselves_and_others)
{
	setup();
	ev = event_timer_add(loop, remove_timers, NULL);
	ev2 = event_timer_add(loop, remove_timers, NULL);
	event_timer_arm(ev, 0);
	event_timer_arm(ev2, 0);
	event_loop_once(loop, 100);
	event_loop_once(loop, 0);
	CHECK_EQ(calls, 1);
	event_remove(NULL);
	event_loop_free(loop);
}

static int order[8], norder;

static void
note(void *arg)
{
	order[norder++] = *(int *)arg;
}

static void
note_and_post(void *arg)
{
	static int five = 5;

	note(arg);
	CHECK_EQ(event_post(loop, note, &five), 0);
}

TEST(posts_run_in_order)
{
	int n[4] = { 1, 2, 3, 4 };

	setup();
	event_post(loop, note_and_post, &n[0]);
	for (int i = 1; i < 4; i++)
		event_post(loop, note, &n[i]);
	event_loop_once(loop, 0);
	CHECK_EQ(norder, 4);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(order[i], i + 1);
	event_loop_once(loop, 0);
	CHECK_EQ(order[4], 5);
	event_post(loop, note, &n[0]);	/* dropped with the loop */
	event_loop_free(loop);
}

static void *
run_loop(void *arg)
{
	CHECK_EQ(event_loop_run(loop), 0);
	return (NULL);
}

static void
slow(void *arg)
{
	struct timespec ts = { 0, 30000000 };

	nanosleep(&ts, NULL);
	CHECK(event_loop_is_mine(loop));
	calls++;
}

TEST(drain_waits_for_what_was_posted)
{
	pthread_t t;

	setup();
	/* Nobody runs the loop: the posts run here. */
	event_post(loop, count, NULL);
	event_drain(loop);
	CHECK_EQ(calls, 1);
	CHECK_EQ(pthread_create(&t, NULL, run_loop, NULL), 0);
	for (int i = 0; i < 3; i++)
		event_post(loop, slow, NULL);
	event_drain(loop);
	CHECK_EQ(calls, 4);
	event_drain(loop);
	event_loop_stop(loop);
	pthread_join(t, NULL);
	event_loop_free(loop);
}

static void
drain_inside(void *arg)
{
	event_post(loop, count, NULL);
	event_post(loop, count, NULL);
	event_drain(loop);
	CHECK_EQ(calls, 2);
}

TEST(drain_inside_a_callback)
{
	setup();
	event_post(loop, drain_inside, NULL);
	event_loop_once(loop, 0);
	CHECK_EQ(calls, 2);
	event_loop_free(loop);
}

static _Atomic bool inside;

static void
slow_fd(void *arg, unsigned what)
{
	struct timespec ts = { 0, 5000000 };

	inside = true;
	nanosleep(&ts, NULL);
	inside = false;
	calls++;
}

TEST(remove_waits_for_a_call_on_another_thread)
{
	pthread_t t;
	int fd = eventfd(1, 0);

	setup();
	CHECK_EQ(pthread_create(&t, NULL, run_loop, NULL), 0);
	for (int i = 0; i < 50; i++) {
		ev = event_fd_add(loop, fd, EVENT_READ, slow_fd, NULL);
		CHECKF(ev != NULL, "%s", vmm_errmsg());
		while (i % 2 == 0 && !inside)
			sched_yield();
		event_remove(ev);
		CHECK(!inside);
		calls = 0;
		sched_yield();
		CHECK_EQ(calls, 0);
	}
	event_loop_stop(loop);
	pthread_join(t, NULL);
	close(fd);
	event_loop_free(loop);
}

static void *
poster(void *arg)
{
	for (int i = 0; i < 2000; i++)
		CHECK_EQ(event_post(loop, count, NULL), 0);
	return (NULL);
}

TEST(posts_from_many_threads_all_arrive)
{
	pthread_t t, p[4];

	setup();
	CHECK_EQ(pthread_create(&t, NULL, run_loop, NULL), 0);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(pthread_create(&p[i], NULL, poster, NULL), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(p[i], NULL);
	event_drain(loop);
	CHECK_EQ(calls, 8000);
	event_loop_stop(loop);
	pthread_join(t, NULL);
	event_loop_free(loop);
}

static void
run_again(void *arg)
{
	CHECK_EQ(event_loop_run(loop), -1);
	CHECK_EQ(errno, EBUSY);
	CHECK_EQ(event_loop_once(loop, 0), -1);
	CHECK_EQ(errno, EBUSY);
	calls++;
}

TEST(one_thread_runs_it)
{
	setup();
	event_post(loop, run_again, NULL);
	event_loop_once(loop, 0);
	CHECK_EQ(calls, 1);
	event_loop_stop(loop);		/* before it runs: the next run returns */
	CHECK_EQ(event_loop_run(loop), 0);
	event_loop_free(loop);
	event_loop_free(NULL);
}

TEST_MAIN()
