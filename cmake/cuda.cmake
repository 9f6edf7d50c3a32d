# The kernels for NVIDIA's GPUs. Their .cu files are compiled one by one by nvcc; nothing else of this build
# knows CUDA, whose runtime is linked statically, and looks for a driver when it is first called.
#   AQUATINT_CUDA  AUTO: where there are nvcc and a GPU; ON: an error where there is no nvcc; OFF
set(AQUATINT_CUDA AUTO CACHE STRING "build the kernels for GPUs: AUTO (where nvcc and a GPU are), ON, OFF")
set(AQUATINT_NVCC_FLAGS -std=c++20 -arch=sm_90a -O3 -lineinfo --expt-relaxed-constexpr --compress-mode=size
                        -Xcompiler=-Wall,-Wextra
    CACHE STRING "what nvcc is given")

set(AQUATINT_NVCC "")
set(AQUATINT_WANTS_CUDA ${AQUATINT_CUDA})
if(AQUATINT_CUDA STREQUAL "AUTO" AND NOT EXISTS /dev/nvidiactl)
  set(AQUATINT_WANTS_CUDA OFF)
endif()
if(AQUATINT_WANTS_CUDA AND NOT AQUATINT_SANITIZE AND NOT AQUATINT_PORTABLE)
  find_program(NVCC nvcc HINTS /usr/local/cuda/bin)
  if(NVCC)
    # Through links: the toolkit's folders lie beside the real one.
    file(REAL_PATH ${NVCC} nvcc_file)
    foreach(place ${nvcc_file} ${NVCC})
      get_filename_component(root ${place} DIRECTORY)
      get_filename_component(root ${root} DIRECTORY)
      if(EXISTS ${root}/include/cuda_runtime.h AND NOT AQUATINT_NVCC)
        find_library(CUDART libcudart_static.a PATHS ${root}/lib64 ${root}/lib ${root}/targets/x86_64-linux/lib
                     NO_DEFAULT_PATH)
        if(CUDART)
          set(AQUATINT_NVCC ${NVCC})
          set(AQUATINT_CUDA_INCLUDE ${root}/include)
        endif()
      endif()
    endforeach()
  endif()
  if(NOT AQUATINT_NVCC AND AQUATINT_CUDA STREQUAL "ON")
    message(FATAL_ERROR "AQUATINT_CUDA=ON, but no nvcc with its headers and libcudart_static.a is in PATH or "
                        "/usr/local/cuda/bin")
  endif()
endif()
if(AQUATINT_NVCC)
  message(STATUS "CUDA kernels: ${AQUATINT_NVCC}")
else()
  message(STATUS "CUDA kernels: none (AQUATINT_CUDA=${AQUATINT_CUDA})")
endif()

# Objects of .cu files, into the variable `out`.
function(aquatint_nvcc out)
  set(objects)
  foreach(source ${ARGN})
    get_filename_component(name ${source} NAME)
    set(object ${CMAKE_CURRENT_BINARY_DIR}/cuda/${name}.o)
    add_custom_command(
      OUTPUT ${object}
      COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_CURRENT_BINARY_DIR}/cuda
      COMMAND ${CCACHE} ${AQUATINT_NVCC} ${AQUATINT_NVCC_FLAGS} -I${PROJECT_SOURCE_DIR}/src -MD -MF ${object}.d
              -c ${source} -o ${object}
      DEPENDS ${source}
      DEPFILE ${object}.d
      COMMENT "nvcc ${name}"
      VERBATIM)
    list(APPEND objects ${object})
  endforeach()
  set(${out} ${objects} PARENT_SCOPE)
endfunction()

# The set: for a GPU, or no_cuda.cc, which says that there is none.
function(aquatint_cuda_kernels)
  set(folder ${CMAKE_CURRENT_SOURCE_DIR}/kernels/cuda)
  if(AQUATINT_NVCC)
    file(GLOB sources CONFIGURE_DEPENDS ${folder}/*.cc ${folder}/runtime/*.cc)
    list(FILTER sources EXCLUDE REGEX "/no_cuda\\.cc$")
    file(GLOB kernels CONFIGURE_DEPENDS ${folder}/*.cu)
    aquatint_nvcc(objects ${kernels})
    add_custom_target(cuda_objects DEPENDS ${objects})
    add_library(kernels_cuda STATIC ${sources} ${objects})
    set_source_files_properties(${objects} PROPERTIES EXTERNAL_OBJECT TRUE GENERATED TRUE)
    target_include_directories(kernels_cuda SYSTEM PRIVATE ${AQUATINT_CUDA_INCLUDE})
    target_link_libraries(kernels_cuda PRIVATE ${CUDART} ${CMAKE_DL_LIBS} rt)
  else()
    add_library(kernels_cuda STATIC ${folder}/runtime/no_cuda.cc)
  endif()
  target_link_libraries(kernels_cuda PUBLIC kernels)
endfunction()
