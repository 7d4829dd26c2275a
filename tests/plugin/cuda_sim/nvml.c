/* nvml.c - libnvidia-ml.so.1 of the simulated device, as far as plugins/cuda asks. */
#include <stdio.h>
#include <stdlib.h>

/* As NVML's manual declares them. */
typedef struct nvmlDevice_st *nvmlDevice_t;
typedef struct {
    unsigned gpu, memory;
} nvmlUtilization_t;

enum { SUCCESS = 0, INVALID_ARGUMENT = 2, TEMPERATURE_GPU = 0, CLOCK_SM = 1, N_DEVICES = 8 };

int nvmlInit_v2(void);
int nvmlSystemGetDriverVersion(char *version, unsigned bytes);
int nvmlDeviceGetHandleByPciBusId_v2(const char *bus_id, nvmlDevice_t *device);
int nvmlDeviceGetUtilizationRates(nvmlDevice_t device, nvmlUtilization_t *utilisation);
int nvmlDeviceGetTemperature(nvmlDevice_t device, int sensor, unsigned *celsius);
int nvmlDeviceGetClockInfo(nvmlDevice_t device, int clock, unsigned *mhz);

static struct nvmlDevice_st {
    unsigned number;
} devices[N_DEVICES];

int nvmlInit_v2(void)
{
    return SUCCESS;
}

int nvmlSystemGetDriverVersion(char *version, unsigned bytes)
{
    snprintf(version, bytes, "580.0");
    return SUCCESS;
}

int nvmlDeviceGetHandleByPciBusId_v2(const char *bus_id, nvmlDevice_t *device)
{
    unsigned number;
    if (sscanf(bus_id, "0000:%2x:00.0", &number) != 1 || number >= N_DEVICES)
        return INVALID_ARGUMENT;
    devices[number].number = number;
    *device = &devices[number];
    return SUCCESS;
}

int nvmlDeviceGetUtilizationRates(nvmlDevice_t device, nvmlUtilization_t *utilisation)
{
    *utilisation = (nvmlUtilization_t){.gpu = 30 + device->number, .memory = 7};
    return SUCCESS;
}

int nvmlDeviceGetTemperature(nvmlDevice_t device, int sensor, unsigned *celsius)
{
    *celsius = 50 + device->number;
    return sensor == TEMPERATURE_GPU ? SUCCESS : INVALID_ARGUMENT;
}

int nvmlDeviceGetClockInfo(nvmlDevice_t device, int clock, unsigned *mhz)
{
    *mhz = 1500 + device->number;
    return clock == CLOCK_SM ? SUCCESS : INVALID_ARGUMENT;
}
