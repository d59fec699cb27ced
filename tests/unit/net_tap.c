/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * net_tap.c - taps in a network namespace of the test's own: frames both ways, offloads, several queues, bridges by the helper, and what
 * cannot be had.
 */
#include <arpa/inet.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <sched.h>
#include <unistd.h>

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>

#include "net/net.h"
#include "net/offload.h"
#include "net/tapdev.h"
#include "vmm_fixture.h"

#define	QUEUES	4

static const struct config_key keys[] = {
	NET_KEYS, KEY_INT("queues", 1, 1, QUEUES, "pairs of queues"),
};
static const struct device_class cls = { .name = "test", .keys = { keys, sizeof(keys) / sizeof(keys[0]) } };

static struct fx fx;
static struct device dev;
static struct net *net;
static unsigned n, room, writable;
static struct { size_t len; uint8_t flags, gso; uint16_t queue, gso_size; } got[64];
static uint8_t last[NET_FRAME_MAX];

/* Frames of other protocols than the test's are the kernel's own, looking for neighbours. */
#define	TYPE	0x88b5		/* IEEE 802: for experiments */

static bool
nic_receive(void *arg, const struct net_frame *f)
{
	const uint8_t *p = f->iov[0].iov_base;
	bool ours = (p[12] << 8 | p[13]) == TYPE || (p[12] == 8 && p[13] == 0 && p[23] == 6);

	CHECK(f->niov == 1 && f->iov[0].iov_len == f->len && net->started);
	if (!ours)
		return (true);
	if (room == 0)
		return (false);
	room--;
	CHECK(n < 64);
	got[n].len = f->len;
	got[n].flags = f->flags;
	got[n].gso = f->gso;
	got[n].gso_size = f->gso_size;
	got[n++].queue = f->queue;
	memcpy(last, p, f->len);
	return (true);
}

static void
nic_flush(void *arg)
{
}

static void
nic_writable(void *arg)
{
	writable++;
}

static const struct net_nic nic = { .receive = nic_receive, .flush = nic_flush, .writable = nic_writable };

/* A namespace without anything, and a tap in it. */
static void
alone(void)
{
	struct stat st;
	int fd;

	if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
		SKIP("no network namespace of its own: this user may not make one");
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		SKIP(stat("/dev/net/tun", &st) != 0 ? "there is no /dev/net/tun" : "this user may not open /dev/net/tun");
	close(fd);
}

static struct net *
plug(const char *text)
{
	n = writable = 0;
	room = 64;
	fx_open(&fx);
	CHECK_EQ(config_declare(fx.vmm.config, "", &config_global_keys), 0);
	dev = (struct device){ .cls = &cls, .vmm = &fx.vmm, .name = (char *)(uintptr_t)"nic", .config = fx_node(&fx, "nic", &cls) };
	fx_keys(&fx, text);
	net = net_open(&dev, &nic, NULL);
	return (net);
}

static void
unplug(void)
{
	net_close(net);
	fx_close(&fx);
}

static void
refused(const char *text, const char *why)
{
	CHECKF(plug(text) == NULL, "'%s' was taken", text);
	CHECKF(strncmp(vmm_errmsg(), "nic: ", 5) == 0 && strstr(vmm_errmsg(), why) != NULL, "'%s': %s", text, vmm_errmsg());
	fx_close(&fx);
}

/* The host's side of an interface. */
static int
host(const char *name)
{
	struct sockaddr_ll ll = { .sll_family = AF_PACKET, .sll_protocol = htons(TYPE), .sll_ifindex = (int)if_nametoindex(name) };
	struct timeval tv = { .tv_sec = 20 };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(TYPE));

	CHECK(fd >= 0 && ll.sll_ifindex != 0 && bind(fd, (struct sockaddr *)&ll, sizeof(ll)) == 0);
	CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), 0);
	return (fd);
}

static void
turn(unsigned want)
{
	for (int i = 0; i < 1000 && n < want; i++)
		CHECK_EQ(event_loop_once(fx.vmm.loop, 20), 0);
	CHECK_EQ(n, want);
}

static const uint8_t plain[60] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9, TYPE >> 8, TYPE & 0xff, 1, 2, 3, 4 };

static bool
give(const uint8_t *bytes, size_t len, uint16_t queue)
{
	uint8_t copy[2048];
	const struct iovec iov[2] = { { copy, 20 }, { copy + 20, len - 20 } };
	const struct net_frame f = { .iov = iov, .niov = 2, .len = len, .queue = queue };

	memcpy(copy, bytes, len);
	return (net_send(net, &f));
}

TEST(frames_both_ways)
{
	uint8_t buf[2048];
	int fd;

	alone();
	CHECKF(plug("nic.backend=tap\nnic.tap=wonder0") != NULL, "%s", vmm_errmsg());
	CHECK_EQ(net->mtu, 1500);
	net_start(net);
	fd = host("wonder0");
	CHECK(give(plain, sizeof(plain), 0));
	CHECK_EQ(recv(fd, buf, sizeof(buf), 0), (ssize_t)sizeof(plain));
	CHECK(memcmp(buf, plain, sizeof(plain)) == 0);
	CHECK_EQ(send(fd, plain, sizeof(plain), 0), (ssize_t)sizeof(plain));
	turn(1);
	CHECK(got[0].len == sizeof(plain) && memcmp(last, plain, sizeof(plain)) == 0);
	/* Stopped nothing comes; refused it waits. */
	net_stop(net);
	CHECK_EQ(send(fd, plain, sizeof(plain), 0), (ssize_t)sizeof(plain));
	for (int i = 0; i < 5; i++)
		CHECK_EQ(event_loop_once(fx.vmm.loop, 5), 0);
	CHECK_EQ(n, 1);
	room = 0;
	net_start(net);
	for (int i = 0; i < 5; i++)
		CHECK_EQ(event_loop_once(fx.vmm.loop, 5), 0);
	CHECK_EQ(n, 1);
	room = 64;
	net_ready(net);
	turn(2);
	close(fd);
	unplug();
	CHECK_EQ(if_nametoindex("wonder0"), 0);
}

TEST(mtu)
{
	int value;

	alone();
	CHECKF(plug("nic.backend=tap\nnic.tap=wonder0\nnic.mtu=4000") != NULL, "%s", vmm_errmsg());
	CHECK(tapdev_get_mtu("wonder0", &value) == 0 && value == 4000 && net->mtu == 4000);
	CHECK_EQ(tapdev_set_mtu("wonder0", 3000), 0);
	unplug();
	/* Without a name the kernel finds one. */
	CHECKF(plug("nic.backend=tap") != NULL, "%s", vmm_errmsg());
	CHECK(if_nametoindex("tap0") != 0);
	unplug();
}

/* A segment of 3000 bytes that the kernel cuts up for a NIC that does not take it, and hands on to one that does. */
TEST(offloads)
{
	static uint8_t f[3054] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9, 8, 0, 0x45, [22] = 64, [23] = 6, [26] = 10, 0, 0, 1, 10,
	    0, 0, 2, 0, 80, 0, 80, [46] = 0x50, 0x10, 1 };
	const struct iovec iov = { f, sizeof(f) };
	const struct net_frame frame = { .iov = &iov, .niov = 1, .len = sizeof(f), .flags = NET_NEEDS_CSUM, .gso = NET_GSO_TCP4,
	    .gso_size = 1000, .hdr_len = 54, .csum_start = 34, .csum_off = 16 };
	unsigned all = NET_TAKES_CSUM | NET_TAKES_TSO4, number = 0;
	uint16_t sum;
	struct net *first;

	alone();
	f[16] = (sizeof(f) - 14) >> 8;
	f[17] = (uint8_t)(sizeof(f) - 14);
	sum = (uint16_t)~offload_sum(f + 14, 20, 0);
	memcpy(f + 24, &sum, 2);
	sum = offload_sum(f + 26, 8, (uint32_t)htons(6) + htons(sizeof(f) - 34));
	memcpy(f + 50, &sum, 2);
	/* Two taps in a bridge: what the first is given comes out of the second. */
	{
		int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

		CHECK(sock >= 0);
		if (ioctl(sock, SIOCBRADDBR, "span0") != 0)
			SKIP("this kernel has no bridges");
		close(sock);
		CHECK_EQ(tapdev_up("span0"), 0);
	}
	CHECKF(plug("nic.backend=tap\nnic.tap=wonder0") != NULL, "%s", vmm_errmsg());
	first = net;
	net = net_open(&dev, &nic, NULL);
	CHECK(net == NULL && strstr(vmm_errmsg(), "tap 'wonder0' is in use") != NULL);
	CHECK_EQ(config_set_text(fx.vmm.config, "nic.tap=wonder1", &(struct config_origin){ .source = CONFIG_FROM_CODE }), 0);
	net = net_open(&dev, &nic, NULL);
	CHECKF(net != NULL, "%s", vmm_errmsg());
	CHECK(tapdev_join("wonder0", "span0") == 0 && tapdev_join("wonder1", "span0") == 0);
	net_start(first);
	net_start(net);
	/* The bridge forwards when it has looked at its ports. */
	for (int i = 0; i < 500 && n == 0; i++) {
		const struct iovec small = { (void *)(uintptr_t)plain, sizeof(plain) };

		CHECK(net_send(first, &(struct net_frame){ .iov = &small, .niov = 1, .len = sizeof(plain) }));
		CHECK_EQ(event_loop_once(fx.vmm.loop, 20), 0);
	}
	CHECK(n != 0);
	for (int i = 0; i < 10; i++)
		CHECK_EQ(event_loop_once(fx.vmm.loop, 5), 0);
	number = n;
	CHECK(net_send(first, &frame));
	turn(number + 3);
	for (unsigned i = number; i < n; i++)
		CHECK(got[i].len == 1054 && got[i].gso == NET_GSO_NONE && (got[i].flags & NET_NEEDS_CSUM) == 0);
	CHECK_EQ(offload_sum(last + 34, 1020, offload_sum(last + 26, 8, (uint32_t)htons(6) + htons(1020))), 0xffff);
	net_configure(net, all, 1);
	CHECK(net_send(first, &frame));
	turn(number + 4);
	CHECK(got[n - 1].len == sizeof(f) && got[n - 1].gso == NET_GSO_TCP4 && got[n - 1].gso_size == 1000);
	CHECK_EQ(got[n - 1].flags & NET_NEEDS_CSUM, NET_NEEDS_CSUM);
	net_close(first);
	unplug();
}

TEST(several_queues)
{
	uint8_t buf[2048], frame[60];
	unsigned seen = 0;
	int fd;

	alone();
	CHECKF(plug("nic.backend=tap\nnic.tap=wonder0\nnic.queues=4") != NULL, "%s", vmm_errmsg());
	CHECK(net->steers && net->queues == QUEUES);
	net_start(net);
	fd = host("wonder0");
	/* One is used: all comes by it. */
	for (unsigned i = 0; i < 8; i++)
		CHECK_EQ(send(fd, plain, sizeof(plain), 0), (ssize_t)sizeof(plain));
	turn(8);
	for (unsigned i = 0; i < 8; i++)
		CHECK_EQ(got[i].queue, 0);
	net_configure(net, 0, QUEUES);
	for (uint16_t q = 0; q < QUEUES; q++) {
		CHECK(give(plain, sizeof(plain), q));
		CHECK_EQ(recv(fd, buf, sizeof(buf), 0), (ssize_t)sizeof(plain));
	}
	/* Flows are spread: those of 48 ports by more than one. */
	memcpy(frame, plain, sizeof(frame));
	n = 0;
	memcpy(frame + 12, "\x08\0\x45\0\0\x2e\0\0\0\0\x40\x06\0\0\x0a\0\0\1\x0a\0\0\2", 22);
	for (unsigned i = 0; i < 48; i++) {
		struct sockaddr_ll ll = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_halen = 6,
		    .sll_ifindex = (int)if_nametoindex("wonder0") };

		frame[35] = (uint8_t)i;
		CHECK_EQ(sendto(fd, frame, sizeof(frame), 0, (struct sockaddr *)&ll, sizeof(ll)), (ssize_t)sizeof(frame));
	}
	turn(48);
	for (unsigned i = 0; i < n; i++) {
		CHECK(got[i].queue < QUEUES);
		seen |= 1U << got[i].queue;
	}
	CHECK((seen & (seen - 1)) != 0);
	close(fd);
	unplug();
}

/* An administrator removes the interface: the guest's link goes down, and what it sends is lost. */
TEST(an_interface_that_goes)
{
	struct {
		struct nlmsghdr	 h;
		struct ifinfomsg m;
	} del = { { .nlmsg_len = sizeof(del), .nlmsg_type = RTM_DELLINK, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK }, { 0 } };
	char answer[256];
	int fd;

	alone();
	CHECKF(plug("nic.backend=tap\nnic.tap=wonder0\nnic.queues=2") != NULL, "%s", vmm_errmsg());
	net_start(net);
	del.m.ifi_index = (int)if_nametoindex("wonder0");
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	CHECK(fd >= 0 && send(fd, &del, sizeof(del), 0) == sizeof(del) && recv(fd, answer, sizeof(answer), 0) > 0);
	close(fd);
	CHECK(net->link && if_nametoindex("wonder0") == 0);
	for (int i = 0; i < 100 && net->link; i++)
		CHECK_EQ(event_loop_once(fx.vmm.loop, 20), 0);
	CHECK(!net->link);
	CHECK(give(plain, sizeof(plain), 0) && give(plain, sizeof(plain), 1));
	unplug();
}

/* The helper makes a tap in a bridge, for those whom the list names. */
TEST(bridges)
{
	char dir[] = "/tmp/hyve-tap.XXXXXX", list[64], buf[2048];
	struct ifreq ifr = { 0 };
	int sock, fd, mtu;
	FILE *file;

	alone();
	sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sock < 0 || ioctl(sock, SIOCBRADDBR, "span0") != 0)
		SKIP("this kernel has no bridges");
	CHECK(tapdev_up("span0") == 0 && tapdev_set_mtu("span0", 1400) == 0 && mkdtemp(dir) != NULL);
	(void)snprintf(list, sizeof(list), "%s/bridges", dir);
	CHECK_EQ(setenv("HYVE_BRIDGES", list, 1), 0);
	CHECK(getenv("HYVE_HELPERS") != NULL);
	for (unsigned i = 0; i < 3; i++) {
		static const char *const good[] = { "span0 all\n", "# x\n\nother all\nspan0 user nobody root\n", "span0 group root\n" };

		file = fopen(list, "we");
		CHECK(file != NULL && fputs(good[i], file) >= 0 && fclose(file) == 0 && chmod(list, 0644) == 0);
		CHECKF(plug("nic.backend=tap\nnic.bridge=span0\nnic.queues=2") != NULL, "%s", vmm_errmsg());
		CHECK(net->mtu == 1400 && tapdev_get_mtu("hyve0", &mtu) == 0 && mtu == 1400);
		/* Its address is none that the bridge would take from another port. */
		(void)snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "hyve0");
		CHECK_EQ(ioctl(sock, SIOCGIFHWADDR, &ifr), 0);
		CHECK_EQ((uint8_t)ifr.ifr_hwaddr.sa_data[0], 0xfe);
		net_start(net);
		net_configure(net, 0, 2);
		fd = host("span0");
		/* Until the bridge forwards from its new port. */
		CHECK_EQ(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
		for (int j = 0; j < 500; j++) {
			CHECK(give(plain, sizeof(plain), (uint16_t)(j % 2)));
			if (recv(fd, buf, sizeof(buf), 0) == sizeof(plain))
				break;
			CHECK(j < 499);
			CHECK_EQ(event_loop_once(fx.vmm.loop, 20), 0);
		}
		CHECK_EQ(send(fd, plain, sizeof(plain), 0), (ssize_t)sizeof(plain));
		turn(1);
		close(fd);
		unplug();
		CHECK_EQ(if_nametoindex("hyve0"), 0);
	}
	refused("nic.backend=tap\nnic.bridge=span1", "you may not use bridge 'span1'");
	file = fopen(list, "we");
	CHECK(file != NULL && fputs("span0 user nobody\nlo all\nspan1 all\n", file) >= 0 && fclose(file) == 0);
	refused("nic.backend=tap\nnic.bridge=span0", "you may not use bridge 'span0'");
	refused("nic.backend=tap\nnic.bridge=span1", "bridge 'span1': No such device");
	refused("nic.backend=tap\nnic.bridge=lo", "does not get into 'lo': that is no bridge");
	refused("nic.backend=tap\nnic.bridge=a/b", "wrong arguments");
	refused("nic.backend=tap\nnic.bridge=span0\nnic.tap=x", "either tap");
	file = fopen(list, "we");
	CHECK(file != NULL && fputs("span0 everybody\n", file) >= 0 && fclose(file) == 0);
	refused("nic.backend=tap\nnic.bridge=span0", "line 1 of the list of bridges says neither");
	CHECK_EQ(chmod(list, 0666), 0);
	refused("nic.backend=tap\nnic.bridge=span0", "is no file that root alone can write");
	CHECK(unlink(list) == 0 && rmdir(dir) == 0);
	close(sock);
	CHECK_EQ(setenv("HYVE_HELPERS", "/nowhere", 1), 0);
	refused("nic.backend=tap\nnic.bridge=span0", "cannot start '/nowhere/hyve-bridge-helper': No such file");
}

/* As it is installed: setuid root, in a folder of its own. */
static void
install_helper(const char *dir, char path[96])
{
	struct statvfs vfs;
	char command[512];

	(void)snprintf(path, 96, "%s/hyve-bridge-helper", dir);
	(void)snprintf(command, sizeof(command), "cp '%s/hyve-bridge-helper' '%s'", getenv("HYVE_HELPERS"), path);
	CHECK(system(command) == 0 && chown(path, 0, 0) == 0 && chmod(path, 04755) == 0 && chmod(dir, 0755) == 0);
	CHECK_EQ(statvfs(dir, &vfs), 0);
	if ((vfs.f_flag & ST_NOSUID) != 0)
		SKIP("programs in /tmp are not setuid here");
}

/*
 * A list at the place that the helper was built with, its sentence tells which: in an empty file system over the folder that is to have it, which only
 * this process and its children see.  Whether that can be had.
 */
static bool
install_list(const char *text)
{
	char *path = strchr(vmm_errmsg(), '\''), *list, *top;
	FILE *file;

	CHECK(path != NULL && (list = strndup(path + 1, strcspn(path + 1, "'"))) != NULL && (top = strdup(list)) != NULL);
	do {
		*strrchr(top, '/') = '\0';
	} while (strchr(top + 1, '/') != NULL && access(top, F_OK) != 0);
	if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 || mount("list", top, "tmpfs", 0, "mode=755") != 0) {
		free(list);
		free(top);
		return (false);
	}
	for (char *at = list + strlen(top) + 1; (at = strchr(at, '/')) != NULL; *at++ = '/') {
		*at = '\0';
		CHECK(mkdir(list, 0755) == 0);
	}
	file = fopen(list, "we");
	CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
	free(list);
	free(top);
	return (true);
}

/* For a user without privileges, whose environment it does not believe. */
TEST(bridges_of_users)
{
	char dir[] = "/tmp/hyve-tap.XXXXXX", path[96], mine[64];
	FILE *file;
	int sock, status;
	pid_t pid;

	if (geteuid() != 0)
		SKIP("only root can install a helper that is setuid root");
	alone();
	sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sock < 0 || ioctl(sock, SIOCBRADDBR, "span0") != 0 || ioctl(sock, SIOCBRADDBR, "span1") != 0)
		SKIP("this kernel has no bridges");
	close(sock);
	CHECK(tapdev_up("span0") == 0 && mkdtemp(dir) != NULL && getenv("HYVE_HELPERS") != NULL);
	install_helper(dir, path);
	(void)snprintf(mine, sizeof(mine), "%s/bridges", dir);
	file = fopen(mine, "we");
	CHECK(file != NULL && fputs("span0 all\nspan1 all\n", file) >= 0 && fclose(file) == 0 && chmod(mine, 0644) == 0);
	CHECK(setenv("HYVE_HELPERS", dir, 1) == 0 && setenv("HYVE_BRIDGES", mine, 1) == 0);
	/* The list is another for somebody who is not root, whatever the environment says. */
	CHECK(setresuid(65534, 65534, 0) == 0 && tapdev_up("span1") != 0);
	refused("nic.backend=tap\nnic.bridge=span0", "the list of bridges that users may use, '/");
	CHECK(strstr(vmm_errmsg(), mine) == NULL && setresuid(0, 0, 0) == 0);
	if (!install_list("span0 user nobody\nspan1 user root\n")) {
		CHECK(unlink(path) == 0 && unlink(mine) == 0 && rmdir(dir) == 0);
		SKIP("no mounts of its own: this user may not make them, or the root is no mount");
	}
	fflush(NULL);
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		CHECK(setgroups(0, NULL) == 0 && setgid(65534) == 0 && setuid(65534) == 0);
		CHECKF(plug("nic.backend=tap\nnic.bridge=span0\nnic.queues=2") != NULL, "%s", vmm_errmsg());
		CHECK(if_nametoindex("hyve0") != 0);
		unplug();
		CHECK_EQ(if_nametoindex("hyve0"), 0);
		refused("nic.backend=tap\nnic.bridge=span1", "you may not use bridge 'span1'");
		fflush(NULL);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	CHECK(unlink(path) == 0 && unlink(mine) == 0 && rmdir(dir) == 0);
}

TEST(what_cannot_be_had)
{
	alone();
	refused("nic.backend=tap\nnic.tap=lo", "'lo' is no tap");
	refused("nic.backend=tap\nnic.tap=a-name-too-long-for-it", "is no name of an interface");
	refused("nic.backend=tap\nnic.tap=x/y", "is no name of an interface");
	/* One that was made for one queue. */
	{
		char name[IFNAMSIZ] = "wonder0";
		int fd, on = 1;

		CHECK_EQ(tapdev_open(name, 1, &fd), 0);
		CHECK_EQ(ioctl(fd, _IOW('T', 203, int), on), 0);	/* TUNSETPERSIST */
		close(fd);
		refused("nic.backend=tap\nnic.tap=wonder0\nnic.queues=2", "with several queues: make it with 'multi_queue'");
		CHECKF(plug("nic.backend=tap\nnic.tap=wonder0") != NULL, "%s", vmm_errmsg());
		unplug();
	}
	if (geteuid() == 0 && seteuid(65534) == 0) {
		refused("nic.backend=tap\nnic.tap=other0", "tun");	/* it may be open to all */
		CHECK_EQ(seteuid(0), 0);
	}
}

TEST_MAIN()
