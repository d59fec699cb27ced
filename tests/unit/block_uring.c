/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * block_uring.c - images by io_uring: what comes at once goes by one call, what the kernel does in part is completed, and what it does not do, or
 * a ring that it takes away, is made good.
 *
 * The linker puts a function of the test around io_uring_submit_and_wait(): it sees what is asked for, and changes what came of it.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <liburing.h>
#include <stdatomic.h>
#include <stddef.h>

#include "block_file.h"

static struct {
	_Atomic unsigned calls;		/* that submitted something but the eventfd's read */
	_Atomic unsigned ops[IORING_OP_LAST];
	int		 error[IORING_OP_LAST];	/* of what completes of this kind; 0: none */
	unsigned	 broken;	/* one in so many reads and writes is interrupted, the next cut; 0: none */
	/* Of what the kernel has. */
	struct { uint64_t user; uint8_t op; } has[512];
	unsigned	 completions;
} ring;

int	__real_io_uring_submit_and_wait(struct io_uring *r, unsigned n);
int	__wrap_io_uring_submit_and_wait(struct io_uring *r, unsigned n);

static void
remember(uint64_t user, uint8_t op)
{
	unsigned i = 0;

	while (ring.has[i].user != 0 && ring.has[i].user != user)
		CHECK(++i < 512);
	ring.has[i].user = user;
	ring.has[i].op = op;
	ring.ops[op]++;
}

static void
spoil(struct io_uring_cqe *e)
{
	unsigned i = 0;
	uint8_t op;

	while (i < 512 && ring.has[i].user != e->user_data)
		i++;
	if (i == 512)
		return;			/* seen before */
	op = ring.has[i].op;
	ring.has[i].user = 0;
	if (ring.error[op] != 0)
		e->res = -ring.error[op];
	if ((op != IORING_OP_READV && op != IORING_OP_WRITEV) || ring.broken == 0 || ++ring.completions % ring.broken != 0)
		return;
	if (ring.completions / ring.broken % 2 == 0)
		e->res = -EINTR;
	else if (e->res > 700)
		e->res -= 700;
}

int
__wrap_io_uring_submit_and_wait(struct io_uring *r, unsigned n)
{
	struct io_uring_cqe *e;
	bool any = false;
	unsigned at;
	int got;

	for (at = r->sq.sqe_head; at != r->sq.sqe_tail; at++) {
		const struct io_uring_sqe *s = &r->sq.sqes[at & *r->sq.kring_mask];

		remember(s->user_data, s->opcode);
		any |= s->opcode != IORING_OP_READ;
	}
	ring.calls += any;
	got = __real_io_uring_submit_and_wait(r, n);
	io_uring_for_each_cqe(r, at, e)
		spoil(e);
	return (got);
}

static struct block *
opened(void)
{
	const struct block_options o = { .path = path, .aio = BLOCK_AIO_URING };
	struct block *b = block_open(&o);

	if (b == NULL) {
		unlink(path);
		SKIP(vmm_errmsg());
	}
	CHECK(block_uses_uring(b));
	return (b);
}

static void
ended(struct block *b)
{
	block_close(b);
	file_is_model();
	CHECK_EQ(unlink(path), 0);
}

/* A filter that makes the system call nr fail where its argument arg is not 0; -1: always. */
static void
forbid(unsigned nr, int arg)
{
	struct sock_filter insns[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)(offsetof(struct seccomp_data, args) + 8 * (size_t)(arg < 0 ? 0 : arg))),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, arg < 0 ? 0xffffffffU : 0, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog prog = { .len = sizeof(insns) / sizeof(insns[0]), .filter = insns };

	CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	CHECK_EQ(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &prog), 0);
}

/* As in most containers. */
TEST(without_a_ring)
{
	struct block_options o = { .path = path, .aio = BLOCK_AIO_AUTO };
	struct block *b;

	file_make(DISK);
	forbid(SYS_io_uring_setup, -1);
	b = block_open(&o);
	CHECKF(b != NULL, "%s", vmm_errmsg());
	CHECK(!block_uses_uring(b));
	for (unsigned i = 0; i < 300; i++)
		step(b);
	block_close(b);
	o.aio = BLOCK_AIO_URING;
	CHECK(block_open(&o) == NULL);
	CHECK_EQ(errno, EPERM);
	CHECK_HAS(vmm_errmsg(), "aio=threads would do without");
	file_is_model();
	CHECK_EQ(unlink(path), 0);
}

TEST(only_raw_images)
{
	struct block_options o = { .path = path, .aio = BLOCK_AIO_URING };
	char log[64];

	file_make(DISK);
	(void)snprintf(log, sizeof(log), "%s.log", path);
	o.record = log;
	CHECK(block_open(&o) == NULL);
	CHECK_HAS(vmm_errmsg(), "aio=io_uring is for raw images");
	CHECK_EQ(unlink(log), 0);
	CHECK_EQ(unlink(path), 0);
}

TEST(short_and_interrupted)
{
	struct block *b;

	file_make(DISK);
	b = opened();
	ring.broken = 2;
	for (unsigned i = 0; i < 1500; i++)
		step(b);
	CHECK(ring.completions > 1000);
	ended(b);
}

/* Zeros are written where the kernel cannot make them; and what it would have to be waited for a thread does. */
TEST(what_the_kernel_cannot)
{
	struct block *b;

	file_make(DISK);
	b = opened();
	ring.error[IORING_OP_FALLOCATE] = EOPNOTSUPP;
	for (unsigned i = 0; i < 500; i++)
		step(b);
	CHECK(ring.ops[IORING_OP_FALLOCATE] > 10);
	ring.error[IORING_OP_READV] = ring.error[IORING_OP_WRITEV] = EAGAIN;
	for (unsigned i = 0; i < 500; i++)
		step(b);
	CHECK_EQ(run(b, BLOCK_DISCARD, 0, NULL, 0, 512), 0);		/* a hint */
	ring.error[IORING_OP_FALLOCATE] = EIO;
	CHECK_EQ(run(b, BLOCK_ZERO, 0, NULL, 0, 512), EIO);
	block_close(b);
	CHECK_EQ(unlink(path), 0);
}

TEST(errors)
{
	uint8_t buf[BLOCK_SECTOR];
	struct block *b;

	file_make(DISK);
	b = opened();
	memcpy(buf, model, sizeof(buf));
	ring.error[IORING_OP_WRITEV] = ENOSPC;
	ring.error[IORING_OP_READV] = EIO;
	CHECK_EQ(run_sectors(b, BLOCK_WRITE, 0, 1, buf), ENOSPC);
	CHECK_EQ(run_sectors(b, BLOCK_READ, 0, 1, buf), EIO);
	ring.error[IORING_OP_WRITEV] = ring.error[IORING_OP_READV] = 0;
	CHECK_EQ(run_sectors(b, BLOCK_READ, 0, 1, buf), 0);
	/* A flush that failed is remembered, and not tried again. */
	ring.error[IORING_OP_FSYNC] = EIO;
	CHECK_EQ(run(b, BLOCK_FLUSH, 0, NULL, 0, 0), EIO);
	ring.error[IORING_OP_FSYNC] = 0;
	CHECK_EQ(run(b, BLOCK_FLUSH, 0, NULL, 0, 0), EIO);
	CHECK_EQ(ring.ops[IORING_OP_FSYNC], 1);
	ended(b);
}

/* The host's own limit: what fits is written, then there is an error. */
TEST(file_too_large)
{
	static uint8_t buf[8192];
	struct rlimit limit = { 4096, RLIM_INFINITY };
	struct block *b;

	file_make(DISK);
	b = opened();
	CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
	memset(buf, 0x33, sizeof(buf));
	CHECK_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
	CHECK_EQ(run_sectors(b, BLOCK_WRITE, 0, 16, buf), EFBIG);
	limit.rlim_cur = RLIM_INFINITY;
	CHECK_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
	memset(model, 0x33, 4096);
	ended(b);
}

/* Many at once, the first of which holds up the ring's thread until all are there. */
#define	MANY	300U

static struct {
	struct waiter	 w[MANY];
	struct iovec	 iov[MANY];
	uint8_t		 buf[MANY][BLOCK_SECTOR];
	pthread_mutex_t	 lock;
	pthread_cond_t	 cond;
	bool		 go, held;
} many = { .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };

static void
hold(struct block_req *req)
{
	pthread_mutex_lock(&many.lock);
	many.held = true;
	pthread_cond_broadcast(&many.cond);
	while (!many.go)
		pthread_cond_wait(&many.cond, &many.lock);
	pthread_mutex_unlock(&many.lock);
	woken(req);
}

static void
submit(struct block *b, unsigned i, enum block_op op)
{
	struct waiter *w = &many.w[i];

	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->cond, NULL);
	many.iov[i] = (struct iovec){ many.buf[i], BLOCK_SECTOR };
	w->req = (struct block_req){ .op = op, .off = i * (uint64_t)BLOCK_SECTOR, .len = op == BLOCK_FLUSH ? 0 : BLOCK_SECTOR, .iov = &many.iov[i],
	    .niov = op == BLOCK_FLUSH ? 0 : 1, .error = -1, .done = i == 0 ? hold : woken, .arg = w };
	block_submit(b, &w->req);
}

static void
all_done(void)
{
	for (unsigned i = 0; i < MANY; i++) {
		CHECK_EQ(many.w[i].calls, 1);
		CHECK_EQ(many.w[i].req.error, 0);
		if (many.w[i].req.op == BLOCK_READ)
			CHECK(memcmp(many.buf[i], model + (size_t)i * BLOCK_SECTOR, BLOCK_SECTOR) == 0);
	}
}

static void
let_go(void)
{
	pthread_mutex_lock(&many.lock);
	many.go = true;
	pthread_cond_broadcast(&many.cond);
	pthread_mutex_unlock(&many.lock);
}

static void
wait_held(void)
{
	pthread_mutex_lock(&many.lock);
	while (!many.held)
		pthread_cond_wait(&many.cond, &many.lock);
	pthread_mutex_unlock(&many.lock);
}

TEST(what_comes_at_once_goes_at_once)
{
	unsigned calls;
	struct block *b;

	file_make(DISK);
	b = opened();
	submit(b, 0, BLOCK_READ);
	wait_held();
	calls = ring.calls;
	/* More than the ring has room for; every tenth is a flush, and one is enough for all of them. */
	for (unsigned i = 1; i < MANY; i++)
		submit(b, i, i % 10 == 0 ? BLOCK_FLUSH : BLOCK_READ);
	let_go();
	block_close(b);		/* waits for all */
	all_done();
	CHECKF(ring.calls - calls < MANY / 3, "%u calls", ring.calls - calls);
	CHECKF(ring.ops[IORING_OP_FSYNC] <= 3, "%u flushes", ring.ops[IORING_OP_FSYNC]);
	CHECK_EQ(unlink(path), 0);
}

/* A ring that is taken away, as by a filter of system calls that comes late: everything is done all the same. */
TEST(ring_is_lost)
{
	struct block *b;

	file_make(DISK);
	b = opened();
	for (unsigned i = 0; i < 100; i++)
		step(b);
	submit(b, 0, BLOCK_READ);
	wait_held();
	for (unsigned i = 1; i < MANY; i++)
		submit(b, i, i % 10 == 0 ? BLOCK_FLUSH : BLOCK_READ);
	forbid(SYS_io_uring_enter, 1);
	let_go();
	for (unsigned i = 0; i < 200; i++)
		step(b);
	block_close(b);
	for (unsigned i = 0; i < MANY; i++) {
		CHECK_EQ(many.w[i].calls, 1);
		CHECK_EQ(many.w[i].req.error, 0);
	}
	file_is_model();
	CHECK_EQ(unlink(path), 0);
}

/* Idle when it is lost, and closed at once. */
TEST(idle_ring_is_lost)
{
	struct block *b;

	file_make(DISK);
	b = opened();
	CHECK_EQ(run(b, BLOCK_FLUSH, 0, NULL, 0, 0), 0);
	forbid(SYS_io_uring_enter, 1);
	ended(b);
}

TEST_MAIN()
