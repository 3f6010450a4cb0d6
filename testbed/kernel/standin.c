// SPDX-License-Identifier: GPL-2.0-only
/* A stand-in for the SGX driver, for tests of a meter where there is no SGX: misc devices sgx_enclave and sgx_vepc whose
 * mappings look as the driver's do (VM_PFNMAP|VM_IO, pages put in by vmf_insert_pfn), over an object laid out as the running
 * kernel's struct sgx_encl. The layout comes from the kernel's BTF as module parameters (off_*), so this file has no copy of it.
 * Pages of "EPC" are ordinary ones. It does at a word what the driver does by itself: pages leave EPC and come back.
 *
 * /proc/sgx_standin tells the truth, counted anew from a table apart from the fields that a meter reads:
 *   NUMBER encl|vepc IN OUT VA SECS CREATED ADDRESS, and "used PAGES" */
#include <linux/module.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/xarray.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>
#include <linux/version.h>

static int off_base, off_size, off_flags, off_page_cnt, off_child, off_secs_epc, off_va, sz_encl, off_vepc_xa, sz_vepc;
#define P(x) module_param(x, int, 0444)
P(off_base); P(off_size); P(off_flags); P(off_page_cnt); P(off_child); P(off_secs_epc); P(off_va); P(sz_encl); P(off_vepc_xa); P(sz_vepc);
static ulong nr_free_at; module_param(nr_free_at, ulong, 0400);   /* address of the kernel's sgx_nr_free_pages, or 0 */
static int va_list_off; module_param(va_list_off, int, 0444);     /* struct sgx_va_page: offset of list */
static long epc_total = 1 << 20; module_param(epc_total, long, 0444);

struct obj {                      /* ours; hangs beside the kernel-shaped part */
	struct list_head all; struct mutex lock; int vepc; void *k; struct xarray pages;
	unsigned long resident, swapped, va, secs; int id, created;
};
static LIST_HEAD(objs); static DEFINE_MUTEX(objs_lock); static int next_id; static atomic_long_t used;
#define U64(o, off) (*(unsigned long *)((char *)(o)->k + (off)))
#define U32(o, off) (*(unsigned int *)((char *)(o)->k + (off)))
#define LH(o) ((struct list_head *)((char *)(o)->k + off_va))

static void charge(long n)
{
	atomic_long_add(n, &used);
	if (nr_free_at) atomic_long_set((atomic_long_t *)nr_free_at, epc_total - atomic_long_read(&used));
}
static struct obj *of(void *k)
{
	struct obj *o, *r = NULL;
	mutex_lock(&objs_lock);
	list_for_each_entry(o, &objs, all) if (o->k == k) { r = o; break; }
	mutex_unlock(&objs_lock);
	return r;
}
static int va_new(struct obj *o)
{
	void *v = kzalloc(256, GFP_KERNEL);
	if (!v) return -ENOMEM;
	list_add((struct list_head *)((char *)v + va_list_off), LH(o));
	o->va++; charge(1);
	return 0;
}
static int grow(struct obj *o)     /* as sgx_encl_grow() */
{
	if (!(U32(o, off_page_cnt) % 512)) { int r = va_new(o); if (r) return r; }
	U32(o, off_page_cnt)++;
	return 0;
}
/* o->lock held.  add a page (EADD, EAUG, or ELDU when it was swapped) */
static struct page *page_in(struct obj *o, unsigned long idx)
{
	void *e = xa_load(&o->pages, idx);
	struct page *p;
	if (e && !xa_is_value(e)) return e;
	p = alloc_page(GFP_KERNEL | __GFP_ZERO);
	if (!p) return NULL;
	if (!o->vepc) {
		if (e) o->swapped--; else if (grow(o)) { __free_page(p); return NULL; }
		if (!o->secs) { o->secs = 1; U64(o, off_secs_epc) = (unsigned long)p; charge(1); }
		U32(o, off_child)++;
	} else
		xa_store((struct xarray *)((char *)o->k + off_vepc_xa), idx, p, GFP_KERNEL);
	xa_store(&o->pages, idx, p, GFP_KERNEL);
	o->resident++; charge(1);
	return p;
}
/* o->lock held, PTEs are zapped by the caller.  swap: EWB; else REMOVE_PAGES / REMOVE_ALL */
static int page_out(struct obj *o, unsigned long idx, bool swap)
{
	void *e = xa_load(&o->pages, idx);
	if (!e) return 0;
	if (xa_is_value(e)) {
		if (swap) return 0;
		o->swapped--; xa_erase(&o->pages, idx); U32(o, off_page_cnt)--;
		return 1;
	}
	o->resident--; charge(-1);
	if (!o->vepc) {
		U32(o, off_child)--;
		if (swap) { xa_store(&o->pages, idx, xa_mk_value(1), GFP_KERNEL); o->swapped++; }
		else { xa_erase(&o->pages, idx); U32(o, off_page_cnt)--; }
		if (swap && !U32(o, off_child)) { o->secs = 0; U64(o, off_secs_epc) = 0; charge(-1); }
	} else { xa_erase((struct xarray *)((char *)o->k + off_vepc_xa), idx); xa_erase(&o->pages, idx); }
	__free_page(e);
	return 1;
}
static vm_fault_t fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct obj *o = of(vma->vm_private_data);
	struct page *p; vm_fault_t r;
	if (!o) return VM_FAULT_SIGBUS;
	mutex_lock(&o->lock);
	p = page_in(o, vma->vm_pgoff + ((vmf->address - vma->vm_start) >> PAGE_SHIFT));
	r = p ? vmf_insert_pfn(vma, vmf->address, page_to_pfn(p)) : VM_FAULT_SIGBUS;
	mutex_unlock(&o->lock);
	return r;
}
static const struct vm_operations_struct ops = { .fault = fault };

static int open_(struct file *f, int vepc)
{
	struct obj *o = kzalloc(sizeof *o, GFP_KERNEL);
	if (!o) return -ENOMEM;
	o->k = kzalloc(vepc ? sz_vepc : sz_encl, GFP_KERNEL);
	if (!o->k) { kfree(o); return -ENOMEM; }
	mutex_init(&o->lock); xa_init(&o->pages); o->vepc = vepc;
	if (vepc) xa_init((struct xarray *)((char *)o->k + off_vepc_xa)); else INIT_LIST_HEAD(LH(o));
	mutex_lock(&objs_lock); o->id = next_id++; list_add_tail(&o->all, &objs); mutex_unlock(&objs_lock);
	f->private_data = o->k;
	return 0;
}
static int open_encl(struct inode *i, struct file *f) { return open_(f, 0); }
static int open_vepc(struct inode *i, struct file *f) { return open_(f, 1); }
static int release(struct inode *i, struct file *f)
{
	struct obj *o = of(f->private_data); unsigned long idx; void *e;
	mutex_lock(&objs_lock); list_del(&o->all); mutex_unlock(&objs_lock);
	xa_for_each(&o->pages, idx, e) if (!xa_is_value(e)) __free_page(e);
	charge(-(long)(o->resident + o->secs + o->va));
	xa_destroy(&o->pages);
	if (o->vepc) xa_destroy((struct xarray *)((char *)o->k + off_vepc_xa));
	else while (!list_empty(LH(o))) { struct list_head *l = LH(o)->next; list_del(l); kfree((char *)l - va_list_off); }
	kfree(o->k); kfree(o);
	return 0;
}
static int mmap_(struct file *f, struct vm_area_struct *vma)
{
	struct obj *o = of(f->private_data);
	unsigned long fl = VM_PFNMAP | VM_IO | VM_DONTDUMP | (o->vepc ? VM_DONTCOPY : VM_DONTEXPAND);
	if (!(vma->vm_flags & VM_SHARED)) return -EINVAL;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	vm_flags_set(vma, fl);
#else
	vma->vm_flags |= fl;
#endif
	vma->vm_ops = &ops; vma->vm_private_data = f->private_data;
	return 0;
}
struct req { unsigned long start, count; };
#define CREATE 0xE001 /* not 1 or 2: the VFS takes FIBMAP and FIGETBSZ first */   /* ECREATE: start = base, count = bytes */
#define ADD 0xE002      /* EADD */
#define SWAP 0xE003     /* EWB */
#define REMOVE 0xE004   /* EREMOVE by ioctl */
static long ioctl_(struct file *f, unsigned int cmd, unsigned long arg)
{
	struct obj *o = of(f->private_data); struct req r; unsigned long i; long n = 0;
	if (copy_from_user(&r, (void __user *)arg, sizeof r)) return -EFAULT;
	mutex_lock(&o->lock);
	if (cmd == SWAP || cmd == REMOVE) unmap_mapping_range(f->f_mapping, 0, 0, 1);
	if (cmd == CREATE) {
		n = grow(o); U64(o, off_base) = r.start; U64(o, off_size) = r.count; U64(o, off_flags) = 1 << 4 | (r.count & 1) << 2; /* created; debug, where the size is odd */
		if (!n) { o->created = 1; o->secs = 1; U64(o, off_secs_epc) = 1; charge(1); }
	} else for (i = r.start; i < r.start + r.count; i++) {
		if (cmd == ADD) { if (page_in(o, i)) n++; }
		else n += page_out(o, i, cmd == SWAP);
		if (!(i & 1023)) cond_resched();
	}
	mutex_unlock(&o->lock);
	return n;
}
static const struct file_operations fe = { .owner = THIS_MODULE, .open = open_encl, .release = release, .mmap = mmap_, .unlocked_ioctl = ioctl_ };
static const struct file_operations fv = { .owner = THIS_MODULE, .open = open_vepc, .release = release, .mmap = mmap_, .unlocked_ioctl = ioctl_ };
static struct miscdevice de = { MISC_DYNAMIC_MINOR, "sgx_enclave", &fe }, dv = { MISC_DYNAMIC_MINOR, "sgx_vepc", &fv };

static int show(struct seq_file *m, void *v)
{
	struct obj *o; unsigned long idx; void *e;
	mutex_lock(&objs_lock);
	list_for_each_entry(o, &objs, all) {
		unsigned long in = 0, out = 0;       /* counted again from the page table of truth */
		mutex_lock(&o->lock);
		xa_for_each(&o->pages, idx, e) if (xa_is_value(e)) out++; else in++;
		seq_printf(m, "%d %s %lu %lu %lu %lu %d %px\n", o->id, o->vepc ? "vepc" : "encl", in, out, o->va, o->secs, o->created, o->k);
		mutex_unlock(&o->lock);
	}
	mutex_unlock(&objs_lock);
	seq_printf(m, "used %ld\n", atomic_long_read(&used));
	return 0;
}
static int __init init(void)
{
	int r;
	if (!sz_encl || !sz_vepc) return -EINVAL;
	r = misc_register(&de); if (r) return r;
	r = misc_register(&dv); if (r) { misc_deregister(&de); return r; }
	proc_create_single("sgx_standin", 0400, NULL, show);
	charge(0);
	return 0;
}
static void __exit fini(void) { remove_proc_entry("sgx_standin", NULL); misc_deregister(&dv); misc_deregister(&de); }
module_init(init); module_exit(fini);
MODULE_LICENSE("GPL");
