"""A small catalogue: three sizes of two providers, a class of metal, two sources that differ."""

SOURCES = """\
key,title,place,date
page,A page,somewhere,2026-03-10
api,An API,elsewhere,2026-08-01
"""

FACTS = """\
subject,fact,value,source,checked
DCsv3,provider,azure,page,2026-08-21
DCsv3,sgx,2,page,2026-08-21
DCsv3,edmm,yes,page,2026-08-21
DCsv3,spot,no,page,2026-08-21
DCsv3,accelerated_networking,yes,api,2026-08-21
DCsv3,accelerated_networking,no,page,2026-08-21
DCsv3,closed_to_new,2026-11-01,page,2026-08-21
DCsv3,ends,2029-10-31,page,2026-08-21
DCsv3,successor,sizes with TDX,page,2026-08-21
Standard_DC4s_v3,series,DCsv3,page,2026-08-21
Standard_DC4s_v3,cpus,4,page,2026-08-21
Standard_DC4s_v3,memory,32Gi,page,2026-08-21
Standard_DC4s_v3,epc,16Gi,page,2026-08-21
Standard_DC24s_v3,series,DCsv3,page,2026-08-21
Standard_DC24s_v3,cpus,24,page,2026-08-21
Standard_DC24s_v3,memory,192Gi,page,2026-08-21
Standard_DC24s_v3,epc,128Gi,page,2026-08-21
Standard_DC8_v2,provider,azure,page,2026-08-21
Standard_DC8_v2,sgx,1,page,2026-08-21
Standard_DC8_v2,cpus,8,page,2026-08-21
Standard_DC8_v2,memory,32Gi,page,2026-08-21
Standard_DC8_v2,epc,168Mi,page,2026-08-21
Standard_DC8_v2,ends,2026-06-30,page,2026-08-21
ecs.g7t.large,provider,alibaba,page,2026-11-30
ecs.g7t.large,sgx,2,page,2026-11-30
ecs.g7t.large,cpus,2,page,2026-11-30
ecs.g7t.large,memory,8Gi,page,2026-11-30
ecs.g7t.large,epc,4Gi,page,2026-11-30
ecs.g7t.large,regions,cn-beijing eu-central-1,page,2026-11-30
ecs.g7t.huge,provider,alibaba,page,2026-11-30
ecs.g7t.huge,sgx,2,page,2026-11-30
metal-3,provider,metal,page,2026-11-30
metal-3,sgx,2,page,2026-11-30
metal-3,epc_settings,64Gi 128Gi,page,2026-11-30
"""

PRICES = """\
machine,region,usd_per_hour,source,checked
Standard_DC4s_v3,westeurope,0.46,api,2026-06-18
Standard_DC4s_v3,eastus,0.384,api,2026-06-18
Standard_DC24s_v3,westeurope,2.76,api,2026-06-18
Standard_DC8_v2,westeurope,0.92,api,2026-06-18
"""
