/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * device.c - the registry of classes, the lives of devices, their pausing and their state, with
 * a device of the test's own.
 */
#include "vmm_fixture.h"

static char trail[512];		/* what happened, a letter and the instance each */

static void
note(const struct device *dev, char what)
{
	size_t len = strlen(trail);

	(void)snprintf(trail + len, sizeof(trail) - len, "%c%s ", what, dev->name);
}

struct tdev {
	uint32_t	 reg;
	uint8_t		 bytes[3];
	int		 derived;
	struct vm_range	*range;
};

static uint64_t
t_read(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size)
{
	struct tdev *t = arg;

	return (t->reg);
}

static void
t_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	struct tdev *t = arg;

	t->reg = (uint32_t)val;
}

static int
t_init(struct device *dev)
{
	struct tdev *t = dev->soft;

	note(dev, 'i');
	if (config_bool(dev->config, "fail"))
		return (vmm_fail(EIO, "%s: told to fail", dev->name));
	t->range = device_claim(dev, 0x10, t_read, t_write, t);
	return (t->range != NULL ? 0 : -1);
}

static void
t_fini(struct device *dev)
{
	struct tdev *t = dev->soft;

	note(dev, 'f');
	vm_range_remove(t->range);
}

static void
t_reset(struct device *dev)
{
	struct tdev *t = dev->soft;

	note(dev, 'r');
	t->reg = (uint32_t)config_num(dev->config, "start");
}

/* Work that is posted up to the pause. */
static bool posting;

static void
t_posted(void *arg)
{
	note(arg, 'w');
}

static void
t_pause(struct device *dev)
{
	note(dev, 'p');
	if (posting)
		CHECK_EQ(event_post(dev->vmm->loop, t_posted, dev), 0);
}

static void
t_resume(struct device *dev)
{
	struct tdev *t = dev->soft;

	note(dev, 'R');
	t->derived = (int)t->reg * 2;
}

static int
t_check(void *obj)
{
	const struct tdev *t = obj;

	return (t->reg == 666 ? vm_state_complain("a beast of a register") : 0);
}

static const struct config_key keys[] = {
	KEY_INT("start", 7, 0, 1000, "value of the register after reset"),
	KEY_BOOL("fail", false, "fail to start"),
};

static const struct vm_state_field fields[] = {
	VM_STATE_U32(struct tdev, reg), VM_STATE_BYTES(struct tdev, bytes),
};
static const struct vm_state_table state = VM_STATE_TABLE("test-dev", 1, 1, fields, t_check);

/* One table and nothing else: this is all it takes for a device to exist. */
DEVICE_CLASS(test_dev, "test-dev", "device of a test", keys, &state, .on = DEVICE_ON_MMIO, .nirqs = 1,
    .size = sizeof(struct tdev), .init = t_init, .fini = t_fini, .reset = t_reset, .pause = t_pause,
    .resume = t_resume);

static struct device *
add(struct fx *fx, const char *name, uint64_t base)
{
	const struct device_class *cls = device_class_find("test-dev");
	struct device_place place = { .on = DEVICE_ON_MMIO, .base = base, .nirqs = 1, .irq = { fx->irq } };

	return (device_create(&fx->vmm, cls, name, fx_node(fx, name, cls), &place));
}

TEST(classes_register_themselves)
{
	const struct device_class *cls = device_class_find("test-dev");
	unsigned n = 0;
	bool seen = false;

	CHECK(cls != NULL);
	CHECK_STR(cls->doc, "device of a test");
	CHECK_EQ(cls->keys.nkeys, 2);
	for (; device_class_at(n) != NULL; n++) {
		seen |= device_class_at(n) == cls;
		if (n != 0)
			CHECK(strcmp(device_class_at(n - 1)->name, device_class_at(n)->name) < 0);
		CHECK(device_class_at(n)->doc[0] != '\0');
		CHECK(device_class_at(n)->init != NULL);
	}
	CHECK(seen);
	CHECK(n >= 2);
}

TEST(unknown_devices_tell_the_nearest)
{
	CHECK(device_class_find("tset-dev") == NULL);
	CHECK_EQ(errno, ENOENT);
	CHECK_STR(vmm_errmsg(), "unknown device 'tset-dev'; did you mean 'test-dev'?");
	CHECK(device_class_find("flux-capacitor") == NULL);
	CHECK_STR(vmm_errmsg(), "unknown device 'flux-capacitor'; 'hyve devices' lists them");
	CHECK(device_class_keys("nothing-like-it") == NULL);
	CHECK(device_class_keys("test-dev") == &device_class_find("test-dev")->keys);
}

TEST(a_life_in_order)
{
	struct fx fx;
	struct device *a, *b;

	fx_open(&fx);
	a = add(&fx, "a", 0x80000000);
	CHECKF(a != NULL, "%s", vmm_errmsg());
	b = add(&fx, "b", 0x80000100);
	CHECK(b != NULL);
	CHECK_STR(trail, "ia ra ib rb ");
	CHECK(device_lookup(&fx.vmm, "b") == b);
	CHECK(device_lookup(&fx.vmm, "c") == NULL);
	trail[0] = '\0';
	devices_pause(&fx.vmm);			/* it begins paused */
	CHECK_STR(trail, "");
	devices_resume(&fx.vmm);
	devices_resume(&fx.vmm);
	CHECK_STR(trail, "Ra Rb ");
	trail[0] = '\0';
	devices_pause(&fx.vmm);
	devices_pause(&fx.vmm);
	CHECK_STR(trail, "pb pa ");
	devices_resume(&fx.vmm);
	trail[0] = '\0';
	device_destroy(b);			/* unplugged at work */
	CHECK_STR(trail, "pb fb ");
	CHECK(add(&fx, "c", 0x80000100) != NULL);	/* plugged at work */
	CHECK_STR(trail, "pb fb ic rc Rc ");
	trail[0] = '\0';
	devices_destroy(&fx.vmm);
	CHECK_STR(trail, "pc pa fc fa ");
	device_destroy(NULL);
	fx_close(&fx);
}

/* A device that goes while it is at work, as one that is taken out: what it had posted still finds it whole. */
TEST(posted_work_comes_before_the_end)
{
	struct fx fx;
	struct device *a;

	fx_open(&fx);
	a = add(&fx, "a", 0x80000000);
	CHECKF(a != NULL, "%s", vmm_errmsg());
	devices_resume(&fx.vmm);
	trail[0] = '\0';
	posting = true;
	device_destroy(a);
	posting = false;
	CHECK_STR(trail, "pa wa fa ");
	fx_close(&fx);
}

TEST(accesses_arrive)
{
	struct fx fx;

	fx_open(&fx);
	CHECK(add(&fx, "a", 0x80000000) != NULL);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, 0x80000004, 4), 7);
	fx_write(&fx, VM_SPACE_MEM, 0x80000004, 4, 99);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, 0x80000000, 4), 99);
	devices_reset(&fx.vmm);
	CHECK_EQ(fx_read(&fx, VM_SPACE_MEM, 0x80000000, 4), 7);
	fx_close(&fx);
}

TEST(what_cannot_be_made)
{
	const struct device_class *cls = device_class_find("test-dev");
	struct device_place place = { .on = DEVICE_ON_IO, .base = 0x100, .nirqs = 1 };
	struct config_origin origin = { .source = CONFIG_FROM_CODE, .what = "test" };
	struct config_node *node;
	struct fx fx;

	fx_open(&fx);
	node = fx_node(&fx, "x", cls);
	CHECK(device_create(&fx.vmm, cls, "x", node, &place) == NULL);
	CHECK_STR(vmm_errmsg(), "x: device 'test-dev' cannot be attached there");
	place.on = DEVICE_ON_MMIO;
	place.nirqs = 0;
	CHECK(device_create(&fx.vmm, cls, "x", node, &place) == NULL);
	CHECK_STR(vmm_errmsg(), "x: device 'test-dev' needs 1 interrupts, got 0");
	place.nirqs = 1;
	CHECK_EQ(config_set(fx.vmm.config, "x.fail", "on", &origin), 0);
	CHECK(device_create(&fx.vmm, cls, "x", node, &place) == NULL);
	CHECK_EQ(errno, EIO);
	CHECK_STR(vmm_errmsg(), "x: told to fail");
	CHECK_EQ(config_set(fx.vmm.config, "x.start", "%(x.fail)", &origin), 0);
	CHECK(device_create(&fx.vmm, cls, "x", node, &place) == NULL);
	CHECK_STR(vmm_errmsg(), "test: x.start: 'on' is not an integer from 0 to 1000");
	CHECK(fx.vmm.devices == NULL);
	CHECK(add(&fx, "a", 0x80000000) != NULL);
	CHECK(add(&fx, "a", 0x80000100) == NULL);
	CHECK_EQ(errno, EEXIST);
	CHECK(add(&fx, "b", 0x80000008) == NULL);	/* overlaps */
	CHECK_HAS(vmm_errmsg(), "b: ");
	fx_close(&fx);
}

TEST(state_moves_between_devices)
{
	struct fx from, to;
	struct tdev *t;

	fx_open(&from);
	fx_open(&to);
	t = add(&from, "a", 0x80000000)->soft;
	t->reg = 42;
	memcpy(t->bytes, "xyz", 3);
	((struct tdev *)add(&from, "b", 0x80000100)->soft)->reg = 43;
	CHECK(add(&to, "b", 0x80000100) != NULL);
	CHECK(add(&to, "a", 0x80000000) != NULL);
	fx_move(&from, &to);
	devices_resume(&to.vmm);
	t = device_lookup(&to.vmm, "a")->soft;
	CHECK_EQ(t->reg, 42);
	CHECK(memcmp(t->bytes, "xyz", 3) == 0);
	CHECK_EQ(t->derived, 84);
	CHECK_EQ(((struct tdev *)device_lookup(&to.vmm, "b")->soft)->reg, 43);
	fx_close(&from);
	fx_close(&to);
}

TEST(state_is_refused_in_words)
{
	struct vm_state_out *out = vm_state_out_open();
	struct vm_state_in *in;
	struct fx from, to;
	struct tdev *t;
	const void *data;
	size_t len;

	fx_open(&from);
	fx_open(&to);
	t = add(&from, "a", 0x80000000)->soft;
	t->reg = 666;
	devices_resume(&from.vmm);
	CHECK_EQ(devices_save(&from.vmm, out), -1);
	CHECK_EQ(errno, EBUSY);
	devices_pause(&from.vmm);
	CHECK_EQ(devices_save(&from.vmm, out), 0);
	in = tv_reader(out);
	t = add(&to, "a", 0x80000000)->soft;
	CHECK_EQ(devices_load(&to.vmm, in), -1);
	CHECK_HAS(vmm_errmsg(), "a: ");
	CHECK_HAS(vmm_errmsg(), "a beast of a register");
	CHECK_EQ(t->reg, 7);
	/* A device that the stream does not know. */
	CHECK(add(&to, "z", 0x80000100) != NULL);
	vm_state_in_close(in);
	vm_state_out_close(out);
	out = vm_state_out_open();
	t = device_lookup(&from.vmm, "a")->soft;
	t->reg = 1;
	CHECK_EQ(devices_save(&from.vmm, out), 0);
	data = vm_state_out_data(out, &len);
	in = vm_state_in_open(data, len);
	CHECK_EQ(devices_load(&to.vmm, in), -1);
	CHECK_EQ(errno, ENOENT);
	CHECK_HAS(vmm_errmsg(), "z: ");
	vm_state_in_close(in);
	vm_state_out_close(out);
	fx_close(&from);
	fx_close(&to);
}

TEST(devices_log_in_their_name)
{
	struct device *dev;
	struct fx fx;

	fx_open(&fx);
	dev = add(&fx, "a", 0x80000000);
	device_log(dev, LOG_LEVEL_INFO, "hello");
	for (int i = 0; i < 100; i++)
		device_guest_log(dev, "odd %d", i);
	CHECK_STR(fx.log, "a: hello\na: odd 0\na: odd 1\na: odd 2\na: odd 3\na: odd 4\n");
	fx_close(&fx);
}

TEST_MAIN()
