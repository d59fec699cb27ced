/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * firmware.c - which firmware is chosen, where its variables go, and what of a kernel it is told.
 */
#include <sys/stat.h>

#include <fcntl.h>

#include "firmware/firmware.h"
#include "firmware/fw_cfg.h"
#include "machine/machine.h"
#include "vmm_fixture.h"

static struct fx fx;
static char dir[] = "/tmp/hyve-firmware-XXXXXX";

static char *
in_dir(const char *name)
{
	static char path[4][128];
	static unsigned n;
	char *p = path[n++ % 4];

	(void)snprintf(p, sizeof(path[0]), "%s/%s", dir, name);
	return (p);
}

static char *
touch(const char *name)
{
	char *path = in_dir(name);
	int fd = open(path, O_WRONLY | O_CREAT, 0600);

	CHECK(fd >= 0);
	close(fd);
	return (path);
}

static void
setup(void)
{
	CHECK(mkdtemp(dir) != NULL);
	CHECK_EQ(setenv("XDG_STATE_HOME", in_dir("deep/state"), 1), 0);
	fx_open(&fx);
	CHECK_EQ(config_declare(fx.vmm.config, "", &config_global_keys), 0);
	CHECKF(machine_declare(fx.vmm.config) == 0, "%s", vmm_errmsg());
}

static void
set(const char *key, const char *value)
{
	static const struct config_origin origin = { CONFIG_FROM_CODE, "test", 0 };

	CHECKF(config_set(fx.vmm.config, key, value, &origin) == 0, "%s", vmm_errmsg());
}

static const struct firmware_place *bios;	/* the machine's */

static int
choose(const struct firmware_place *places, struct firmware *fw)
{
	CHECKF(config_check(fx.vmm.config) == 0, "%s", vmm_errmsg());
	return (firmware_choose(fx.vmm.config, places, bios, fw));
}

static void
done(void)
{
	char line[64];

	fx_close(&fx);
	(void)snprintf(line, sizeof(line), "rm -r %s", dir);
	CHECK_EQ(system(line), 0);
}

TEST(installed)
{
	struct firmware_place places[] = {
		{ NULL, NULL, "first" }, { NULL, NULL, "second" }, { NULL, NULL, NULL },
	};
	struct firmware fw;

	setup();
	places[0].code = strdup(in_dir("none/CODE.fd"));
	places[1].code = strdup(in_dir("there.fd"));
	places[1].template = strdup(in_dir("there-vars.fd"));
	CHECK(!firmware_wanted(fx.vmm.config));
	set("firmware.code", "uefi");
	CHECK(firmware_wanted(fx.vmm.config));
	CHECK_EQ(choose(places, &fw), -1);
	CHECK_EQ(errno, ENOENT);
	CHECK_HAS(vmm_errmsg(), places[0].code);
	CHECK_HAS(vmm_errmsg(), "package second");

	(void)touch("there.fd");
	CHECKF(choose(places, &fw) == 0, "%s", vmm_errmsg());
	CHECK_STR(fw.code, places[1].code);
	CHECK(fw.template == NULL && fw.vars == NULL);
	firmware_free(&fw);
	(void)touch("there-vars.fd");
	CHECK_EQ(choose(places, &fw), 0);
	CHECK_STR(fw.template, places[1].template);
	firmware_free(&fw);
	set("firmware.template", "/other");
	CHECK_EQ(choose(places, &fw), 0);
	CHECK_STR(fw.template, "/other");
	firmware_free(&fw);
	CHECK_EQ(choose(NULL, &fw), -1);
	CHECK_EQ(errno, ENOTSUP);
	for (int i = 0; i < 2; i++) {
		free((void *)(uintptr_t)places[i].code);
		free((void *)(uintptr_t)places[i].template);
	}
	done();
}

/* An image by name, with the template that belongs to it. */
TEST(image)
{
	static const struct firmware_place none[] = { { NULL, NULL, NULL } };
	struct firmware fw;

	setup();
	set("firmware.code", in_dir("X_CODE.fd"));
	CHECK_EQ(choose(none, &fw), -1);
	CHECK_HAS(vmm_errmsg(), "X_CODE.fd': No such file");
	(void)touch("X_CODE.fd");
	CHECK_EQ(choose(none, &fw), 0);
	CHECK(fw.template == NULL);
	firmware_free(&fw);
	(void)touch("X_VARS.fd");
	CHECK_EQ(choose(none, &fw), 0);
	CHECK_STR(fw.template, in_dir("X_VARS.fd"));
	firmware_free(&fw);
	set("firmware.code", "bios");
	CHECK_EQ(choose(none, &fw), -1);
	CHECK_EQ(errno, ENOTSUP);
	done();
}

/* Found as UEFI is, or known by its size; it has no variables, whatever the keys say. */
TEST(a_bios)
{
	static const struct firmware_place none[] = { { NULL, NULL, NULL } };
	struct firmware_place places[] = { { NULL, NULL, "some" }, { NULL, NULL, NULL } };
	struct firmware fw;

	setup();
	bios = places;
	places[0].code = strdup(in_dir("bios.bin"));
	set("firmware.code", "bios");
	set("firmware.vars", in_dir("vars"));
	CHECK_EQ(choose(none, &fw), -1);
	CHECK_EQ(errno, ENOENT);
	CHECK_HAS(vmm_errmsg(), "no BIOS for this machine is installed");
	CHECK_HAS(vmm_errmsg(), "package some");
	(void)touch("bios.bin");
	CHECK_EQ(choose(none, &fw), 0);
	CHECK(fw.bios && fw.vars == NULL && fw.template == NULL);
	CHECK_STR(fw.code, places[0].code);
	firmware_free(&fw);
	set("firmware.code", touch("image"));
	CHECK_EQ(truncate(in_dir("image"), 512 << 10), 0);
	CHECK_EQ(choose(none, &fw), 0);
	CHECK(fw.bios && fw.vars == NULL);
	firmware_free(&fw);
	CHECK_EQ(truncate(in_dir("image"), (512 << 10) + 1), 0);
	CHECK_EQ(choose(none, &fw), 0);
	CHECK(!fw.bios && fw.vars != NULL);
	firmware_free(&fw);
	free((void *)(uintptr_t)places[0].code);
	done();
}

/* The key's, the name's, the disk's, none. */
TEST(variables)
{
	static const struct firmware_place none[] = { { NULL, NULL, NULL } };
	struct firmware fw;
	struct stat st;

	setup();
	set("firmware.code", touch("fw.fd"));
	set("pci.0.4.0.device", "virtio-blk");
	set("pci.0.4.0.path", dir);
	CHECK_EQ(choose(none, &fw), 0);
	CHECK(fw.vars == NULL);
	firmware_free(&fw);
	set("pci.0.4.0.path", touch("disk.img"));
	CHECK_EQ(choose(none, &fw), 0);
	CHECK_STR(fw.vars, in_dir("disk.img.vars"));
	firmware_free(&fw);
	set("name", "anvil");
	CHECK_EQ(choose(none, &fw), 0);
	CHECK_STR(fw.vars, in_dir("deep/state/hyve/anvil.vars"));
	CHECK(stat(in_dir("deep/state/hyve"), &st) == 0 && S_ISDIR(st.st_mode) && (st.st_mode & 0777) == 0700);
	firmware_free(&fw);
	set("firmware.vars", "/given");
	CHECK_EQ(choose(none, &fw), 0);
	CHECK_STR(fw.vars, "/given");
	firmware_free(&fw);
	done();
}

TEST(kernel)
{
	const struct device_class *cls = device_class_find("fw-cfg");
	struct device_place place = { .on = DEVICE_ON_IO, .base = 0x510 };
	struct boot_spec spec = {
		.kernel = { .path = "k", .data = (const uint8_t *)"kernel", .len = 6 },
		.modules = { { .path = "i", .data = (const uint8_t *)"initrd!", .len = 7 } }, .nmodules = 1, .cmdline = "a b",
	};
	struct device *dev;
	char got[8] = "";

	setup();
	CHECKF(config_check(fx.vmm.config) == 0, "%s", vmm_errmsg());
	dev = device_create(&fx.vmm, cls, "fwcfg", fx_node(&fx, "fwcfg", cls), &place);
	CHECK(dev != NULL);
	devices_resume(&fx.vmm);
	CHECKF(firmware_publish_settings(dev, fx.vmm.config) == 0, "%s", vmm_errmsg());
	CHECKF(firmware_publish_kernel(dev, &spec) == 0, "%s", vmm_errmsg());
	fx_write(&fx, VM_SPACE_IO, 0x510, 2, FW_CFG_INITRD_SIZE);
	CHECK_EQ(fx_read(&fx, VM_SPACE_IO, 0x511, 1), 7);
	fx_write(&fx, VM_SPACE_IO, 0x510, 2, FW_CFG_CMDLINE_SIZE);
	CHECK_EQ(fx_read(&fx, VM_SPACE_IO, 0x511, 1), 4);
	fx_write(&fx, VM_SPACE_IO, 0x510, 2, FW_CFG_KERNEL_DATA);
	for (int i = 0; i < 6; i++)
		got[i] = (char)fx_read(&fx, VM_SPACE_IO, 0x511, 1);
	CHECK_STR(got, "kernel");
	/* A second one, or modules: no. */
	CHECK_EQ(firmware_publish_kernel(dev, &spec), -1);
	CHECK_EQ(errno, EEXIST);
	spec.nmodules = 2;
	CHECK_EQ(firmware_publish_kernel(dev, &spec), -1);
	CHECK_HAS(vmm_errmsg(), "one initrd");
	spec.kernel.data = NULL;
	CHECK_EQ(firmware_publish_kernel(dev, &spec), 0);
	done();
}

/* The file called name, as the directory has it; false: it is not there. */
static bool
read_file(const char *name, char *buf, size_t size)
{
	uint8_t entry[64];
	unsigned n = 0, len;

	fx_write(&fx, VM_SPACE_IO, 0x510, 2, 0x19);
	for (int i = 0; i < 4; i++)
		n = n << 8 | (unsigned)fx_read(&fx, VM_SPACE_IO, 0x511, 1);
	while (n-- > 0) {
		for (unsigned i = 0; i < sizeof(entry); i++)
			entry[i] = (uint8_t)fx_read(&fx, VM_SPACE_IO, 0x511, 1);
		if (strcmp((const char *)entry + 8, name) != 0)
			continue;
		len = (unsigned)entry[2] << 8 | entry[3];
		CHECK(len < size);
		fx_write(&fx, VM_SPACE_IO, 0x510, 2, (unsigned)entry[4] << 8 | entry[5]);
		for (unsigned i = 0; i < len; i++)
			buf[i] = (char)fx_read(&fx, VM_SPACE_IO, 0x511, 1);
		buf[len] = '\0';
		return (true);
	}
	return (false);
}

TEST(items)
{
	const struct device_class *cls = device_class_find("fw-cfg");
	struct device_place place = { .on = DEVICE_ON_IO, .base = 0x510 };
	struct device *dev;
	char got[64];
	int fd;

	setup();
	fd = open(in_dir("data"), O_WRONLY | O_CREAT, 0600);
	CHECK(fd >= 0 && write(fd, "from a file", 11) == 11 && close(fd) == 0);
	set("firmware.item.0.name", "opt/org.example/text");
	set("firmware.item.0.string", "a, b = 100%%");
	set("firmware.item.7.name", "opt/data");
	set("firmware.item.7.file", in_dir("data"));
	CHECKF(config_check(fx.vmm.config) == 0, "%s", vmm_errmsg());
	dev = device_create(&fx.vmm, cls, "fwcfg", fx_node(&fx, "fwcfg", cls), &place);
	CHECK(dev != NULL);
	devices_resume(&fx.vmm);
	CHECKF(firmware_publish_items(dev) == 0, "%s", vmm_errmsg());
	CHECK(read_file("opt/org.example/text", got, sizeof(got)));
	CHECK_STR(got, "a, b = 100%");
	CHECK(read_file("opt/data", got, sizeof(got)));
	CHECK_STR(got, "from a file");
	CHECK(!read_file("opt/none", got, sizeof(got)));
	/* The same again, both of them, neither, and no name. */
	CHECK_EQ(firmware_publish_items(dev), -1);
	CHECK_EQ(errno, EEXIST);
	set("firmware.item.0.name", "opt/b");
	set("firmware.item.0.file", in_dir("data"));
	CHECK_EQ(firmware_publish_items(dev), -1);
	CHECK_STR(vmm_errmsg(), "test: firmware.item.0 has either a string or a file");
	config_unset(fx.vmm.config, "firmware.item.0.file");
	config_unset(fx.vmm.config, "firmware.item.0.string");
	CHECK_EQ(firmware_publish_items(dev), -1);
	CHECK_STR(vmm_errmsg(), "test: firmware.item.0 has either a string or a file");
	set("firmware.item.0.file", in_dir("nowhere"));
	CHECK_EQ(firmware_publish_items(dev), -1);
	CHECK_HAS(vmm_errmsg(), "nowhere");
	config_unset(fx.vmm.config, "firmware.item.0.name");
	CHECK_EQ(config_check(fx.vmm.config), -1);
	CHECK_HAS(vmm_errmsg(), "firmware.item.0.name: required, but not set");
	done();
}

TEST_MAIN()
